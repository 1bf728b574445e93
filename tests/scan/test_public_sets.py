"""Public data sets as they are downloaded: small made trees of their names come in without renaming.

docs/data.md lists them, with the patterns that some need.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_sets import found_in, put
from trees import ROOT, touch


@dataclass(frozen=True)
class Public:
    """A data set.

    Attributes:
        labelled: pairs of image and mask; `@` stands for each split as it is spelled there, `#` for a number.
        splits: how splits are spelled, by ours; empty where folders name none.
        rest: other files that are there.
        images, masks: patterns; empty where none are needed.
        split: scan.split.
    """

    labelled: str
    splits: dict[str, str]
    rest: tuple[str, ...] = ()
    images: str = ""
    masks: str = ""
    split: str = "auto"


OURS = {"train": "train", "val": "val", "test": "test"}
TWO = {"train": "train", "val": "val"}
LONG = {"train": "training", "val": "validation"}
NONE = {"": ""}
CITY = "@/town#/town#_000001_000019"

SETS = {
    "IDD Lite": Public(
        "leftImg8bit/@/#/1_image.jpg gtFine/@/#/1_label.png", OURS, ("gtFine/train/0/1_inst_label.png",)
    ),
    "IDD 20k": Public("leftImg8bit/@/#/frame1_leftImg8bit.png gtFine/@/#/frame1_gtFine_polygons.json", OURS),
    "IDD 20k II": Public(
        "idd20kII/leftImg8bit/@/#/frame1_leftImg8bit.jpg idd20kII/gtFine/@/#/frame1_gtFine_polygons.json",
        TWO,
        ("idd20kII/README.txt", "notes.rst"),
    ),
    "IDD-AW": Public(
        "@/FOG/rgb/#/1_rgb.png @/FOG/gtSeg/#/1_mask.json",
        TWO,
        ("train/FOG/nir/0/1_nir.png",),
        "{split}/*/rgb/{drive}/{id}_rgb.png",
        "{split}/*/gtSeg/{drive}/{id}_mask.json",
    ),
    "Kaggle new-idd-dataset": Public("image_archive/Image_#.png mask_archive/Mask_#.png", NONE),
    "Cityscapes": Public(
        f"leftImg8bit/{CITY}_leftImg8bit.png gtFine/{CITY}_gtFine_polygons.json",
        OURS,
        tuple(
            f"gtFine/train/town0/town0_000001_000019_gtFine_{kind}.png" for kind in ("color", "instanceIds", "labelIds")
        ),
    ),
    "CamVid (SegNet)": Public("@/000#TP.png @annot/000#TP.png", OURS, ("train.txt", "val.txt", "test.txt")),
    "CamVid (Kaggle)": Public("@/000#TP.png @_labels/000#TP_L.png", OURS, ("class_dict.csv",)),
    "VOC 2012": Public(
        "VOC2012/JPEGImages/2007_#.jpg VOC2012/SegmentationClass/2007_#.png",
        NONE,
        ("VOC2012/SegmentationObject/2007_0.png", "VOC2012/Annotations/2007_0.xml", "VOC2012/JPEGImages/2008_9.jpg"),
    ),
    "KITTI semantics": Public(
        "training/image_2/#_10.png training/semantic/#_10.png",
        {"train": "training"},
        ("training/semantic_rgb/0_10.png", "training/instance/0_10.png", "testing/image_2/9_10.png"),
        split="drive",
    ),
    "KITTI road": Public(
        "training/image_2/um_#.png training/gt_image_2/um_road_#.png",
        NONE,
        ("training/gt_image_2/um_lane_0.png", "training/calib/um_0.txt", "testing/image_2/um_9.png"),
        "training/image_2/*_{id}.png",
        "training/gt_image_2/*_road_{id}.png",
    ),
    "Mapillary Vistas 1": Public(
        "@/images/#x.jpg @/labels/#x.png", LONG, ("training/instances/0x.png", "testing/images/9.jpg", "config.json")
    ),
    "Mapillary Vistas 2": Public(
        "@/images/#x.jpg @/v2.0/labels/#x.png",
        LONG,
        ("training/v1.2/labels/0x.png", "training/v2.0/panoptic/0x.png", "testing/images/9.jpg"),
        "{split}/images/{id}.jpg",
        "{split}/v2.0/labels/{id}.png",
    ),
    "BDD100K seg": Public(
        "seg/images/@/#-a.jpg seg/labels/@/#-a_train_id.png", TWO, ("seg/color_labels/train/0-a_train_color.png",)
    ),
    "BDD100K 10k": Public(
        "images/10k/@/#-a.jpg labels/sem_seg/masks/@/#-a.png", TWO, ("labels/sem_seg/colormaps/train/0-a.png",)
    ),
    "A2D2": Public(
        "2018#/camera/cam_front_center/2018_camera_frontcenter_1.png "
        "2018#/label/cam_front_center/2018_label_frontcenter_1.png",
        NONE,
        ("20180/lidar/cam_front_center/2018_lidar_frontcenter_1.npz", "class_list.json"),
        "{drive}/camera/*/*_camera_{id}.png",
        "{drive}/label/*/*_label_{id}.png",
    ),
    "ApolloScape": Public(
        "road01_ins/ColorImage/Record00#/Camera 5/17_Camera_5.jpg "
        "road01_ins/Label/Record00#/Camera 5/17_Camera_5_bin.png",
        NONE,
        ("road01_ins/Label/Record000/Camera 5/17_Camera_5_instanceIds.png",),
        "road01_ins/ColorImage/{drive}/*/{id}.jpg",
        "road01_ins/Label/{drive}/*/{id}_bin.png",
    ),
    "ACDC": Public(
        "rgb_anon/fog/@/GOPR#/GOPR#_frame_1_rgb_anon.png gt/fog/@/GOPR#/GOPR#_frame_1_gt_labelTrainIds.png",
        TWO,
        (
            "gt/fog/train/GOPR0/GOPR0_frame_1_gt_labelColor.png",
            "rgb_anon/fog/train_ref/GOPR0/GOPR0_frame_1_rgb_ref_anon.png",
        ),
        "rgb_anon/*/{split}/{drive}/{id}_rgb_anon.png",
        "gt/*/{split}/{drive}/{id}_gt_labelTrainIds.png",
    ),
    "Dark Zurich": Public(
        "rgb_anon/val/night/GOPR#/GOPR#_frame_1_rgb_anon.png gt/val/night/GOPR#/GOPR#_frame_1_gt_labelTrainIds.png",
        NONE,
        ("rgb_anon/train/night/GOPR7/GOPR7_frame_1_rgb_anon.png",),
        "rgb_anon/val/*/{drive}/{id}_rgb_anon.png",
        "gt/val/*/{drive}/{id}_gt_labelTrainIds.png",
    ),
    "WildDash 2": Public(
        "images/aa#.jpg labels/aa#.png", NONE, ("instances/aa0.png", "panoptic.json", "random/readme.txt")
    ),
    "ADE20K (scene parsing)": Public(
        "images/@/ADE_#.jpg annotations/@/ADE_#.png", LONG, ("objectInfo150.txt", "sceneCategories.txt")
    ),
    "COCO-Stuff": Public("images/@/00#.jpg annotations/@/00#.png", {"train": "train2017", "val": "val2017"}),
    "Freiburg Forest": Public(
        "train/rgb/b1-#_Clipped.jpg train/GT_color/b1-#_mask.png",
        {"train": "train"},
        ("train/nir_color/b1-0.jpg", "test/rgb/b9-1_Clipped.jpg"),
        "{split}/rgb/{id}_Clipped.jpg",
        "{split}/GT_color/{id}_mask.png",
        "drive",
    ),
    "RUGD": Public(
        "RUGD_frames-with-annotations/creek#/creek_1.png RUGD_annotations/creek#/creek_1.png",
        NONE,
        ("RUGD_annotations/RUGD_annotation-colormap.txt",),
        "RUGD_frames-with-annotations/{drive}/{id}.png",
        "RUGD_annotations/{drive}/{id}.png",
    ),
    "RELLIS-3D": Public(
        "0000#/pylon_camera_node/frame1.jpg 0000#/pylon_camera_node_label_id/frame1.png",
        NONE,
        ("00000/pylon_camera_node_label_color/frame1.png",),
        "{drive}/pylon_camera_node/{id}.jpg",
        "{drive}/pylon_camera_node_label_id/{id}.png",
    ),
    "TAS500": Public(
        "@/15#.png @_labels_ids/15#.png",
        TWO,
        ("train_labels/150.png", "test/9.png"),
        "{split}/{id}.png",
        "{split}_labels_ids/{id}.png",
    ),
    "YCOR": Public(
        "@/iid#/rgb.jpg @/iid#/labels.png",
        {"train": "train", "val": "valid"},
        images="{split}/{id}/rgb.jpg",
        masks="{split}/{id}/labels.png",
    ),
    "Massachusetts Roads": Public(
        "tiff/@/10#_15.tiff tiff/@_labels/10#_15.tif",
        OURS,
        ("png/train/100_15.png", "png/train_labels/100_15.png", "metadata.csv"),
        "tiff/{split}/{id}.tiff",
        "tiff/{split}_labels/{id}.tif",
    ),
    "DeepGlobe roads": Public(
        "train/#_sat.jpg train/#_mask.png",
        NONE,
        ("valid/9_sat.jpg", "test/8_sat.jpg", "metadata.csv", "class_dict.csv"),
        "train/{id}_sat.jpg",
        "train/{id}_mask.png",
        "drive",
    ),
    "CULane": Public(
        "driver_23/05#.MP4/00000.jpg laneseg_label_w16/driver_23/05#.MP4/00000.png",
        NONE,
        ("driver_23/050.MP4/00000.lines.txt", "list/test_split/test0_normal.txt"),
        "driver_23/{drive}/{id}.jpg",
        "laneseg_label_w16/driver_23/{drive}/{id}.png",
    ),
    "GTA5": Public("images/0000#.png labels/0000#.png", NONE, ("split.mat", "readme.txt")),
    "SYNTHIA-RAND-CITYSCAPES": Public(
        "RGB/000#.png GT/LABELS/000#.png", NONE, ("GT/COLOR/0000.png", "Depth/Depth/0000.png", "README.txt")
    ),
    "comma10k": Public("imgs/000#_a.png masks/000#_a.png", NONE, ("README.md", "files_trainable")),
    "UAVid": Public("uavid_@/seq@#/Images/000.png uavid_@/seq@#/Labels/000.png", TWO),
    "Semantic Drone": Public(
        "dataset/semantic_drone_dataset/original_images/#.jpg "
        "dataset/semantic_drone_dataset/label_images_semantic/#.png",
        NONE,
        ("RGB_color_image_masks/RGB_color_image_masks/0.png", "class_dict_seg.csv"),
        "dataset/*/original_images/{id}.jpg",
        "dataset/*/label_images_semantic/{id}.png",
    ),
    "Carla (Kaggle)": Public("data#/data#/CameraRGB/F1-0.png data#/data#/CameraSeg/F1-0.png", NONE),
    "Lyft Udacity challenge": Public("Train/CameraRGB/#.png Train/CameraSeg/#.png", {"train": "Train"}, split="drive"),
    "Roboflow export": Public(
        "@/a#.rf.0f.jpg @/a#.rf.0f_mask.png",
        {"train": "train", "val": "valid"},
        ("train/_classes.csv", "README.roboflow.txt"),
    ),
    "CVAT export": Public(
        "JPEGImages/#.jpg SegmentationClass/#.png",
        NONE,
        ("SegmentationObject/0.png", "ImageSets/Segmentation/default.txt"),
    ),
    "labelme2voc": Public(
        "JPEGImages/#.jpg SegmentationClassPNG/#.png", NONE, ("SegmentationClassVisualization/0.jpg", "class_names.txt")
    ),
}
BETWEEN = re.compile(r"(?<=\.jpg) |(?<=\.png) |(?<=\.tiff) ")
LISTED = {
    "VOC 2012": ("VOC2012/ImageSets/Segmentation/{}.txt", "2007_{}\n"),
    "CULane": ("list/{}.txt", "/driver_23/05{}.MP4/00000.jpg\n"),
}


def laid(root: Path, name: str) -> set[tuple[str, str]]:
    """Make the tree of a set; its pairs."""
    found, made = set(), SETS[name]
    touch(root, *made.rest)
    for nth, spelled in enumerate(made.splits.values()):
        for number in range(4):
            told = made.labelled.replace("@", spelled).replace("#", str(4 * nth + number))
            image, mask = BETWEEN.split(told)
            touch(root, image, mask)
            found.add((image, mask))
    if name in LISTED:
        path, line = LISTED[name]
        for split, numbers in (("train", (0, 1, 2)), ("val", (3,))):
            put(root / path.format(split), "".join(line.format(number) for number in numbers))
    if "metadata.csv" in made.rest:
        put(root / "metadata.csv", "image_id,split,path\n")
    return found


@pytest.mark.parametrize("name", SETS)
def test_a_public_set_comes_in_as_it_is_downloaded(tmp_path: Path, name: str) -> None:
    made = SETS[name]
    expected = laid(tmp_path, name)
    found = found_in(tmp_path, made.images, made.masks, split=made.split)
    assert {(image, mask) for image, mask in found.pairs.items() if image and mask} == expected
    alone = [image or mask for image, mask in found.pairs.items() if not (image and mask)]
    assert set(alone) <= set(made.rest), "only what is in the split test"
    named = set(made.splits) - {""}
    assert named <= set(found.splits())
    if not named or made.split == "drive" or name in LISTED:
        assert {"train", "val"} <= set(found.splits())


@pytest.mark.parametrize("name", SETS)
def test_the_documentation_says_what_a_public_set_needs(name: str) -> None:
    rows = [line for line in (ROOT / "docs/data.md").read_text().splitlines() if line.startswith(f"| {name} |")]
    assert len(rows) == 1
    made = SETS[name]
    needed = ([f"`{made.images}`", f"`{made.masks}`"] if made.images else []) + (
        ["`scan.split: drive`"] if made.split == "drive" else []
    )
    assert [each for each in needed if each not in rows[0]] == []
    assert bool(made.images) == ("{id}" in rows[0])
