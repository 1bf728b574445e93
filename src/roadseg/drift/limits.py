"""What counts as drift; imports nothing, so that a verb and a form can show it."""

LEVEL = 0.01  # of a false alarm in any figure
DISTANCE = 0.2  # smaller ones are no drift, however sure many drives make them
PERMUTATIONS = 4000  # of the drives, for each family of figures
MOST = 2000  # pictures that are looked at, where nobody says otherwise
