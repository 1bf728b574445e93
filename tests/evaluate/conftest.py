from counted import evaluation, idd_level3, lacking, masks, own_size, rows

__all__ = ["evaluation", "idd_level3", "lacking", "masks", "own_size", "rows"]
