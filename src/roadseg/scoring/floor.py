"""What a model must beat: the class that is most frequent at each pixel."""

import numpy as np

from roadseg.contracts.confusion import confusion, mean_iou
from roadseg.contracts.shards import Shards
from roadseg.evaluate.scores import at_size, official_size


def mode_score(shards: Shards) -> float:
    """Mean IoU on val of always predicting the training masks' most frequent class at each pixel, 0..1.

    Both are taken from the shards, so the figure is at the working size, brought to the official one.
    """
    classes = shards.classes
    votes = np.zeros((shards.height, shards.width, classes.count), np.int64)
    for name in shards.drives("train"):
        _, masks = shards.pair("train", name)
        votes += (np.asarray(masks)[..., None] == np.arange(classes.count)).sum(0)
    mode = votes.argmax(-1).astype(np.uint8)
    matrix = np.zeros((classes.count, classes.count + 1), np.int64)
    for name in shards.drives("val"):
        for truth in shards.pair("val", name)[1]:
            pair = at_size(np.asarray(truth), mode, official_size(classes, truth))
            matrix += confusion(*pair, classes.count)
    return mean_iou(matrix)
