"""Oxford Flowers 102: Nilsback and Zisserman 2008, https://doi.org/10.1109/ICVGIP.2008.47."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated, Any

from pipeline import InputError, IOOnly, fetch, stage

from .files import ImageFiles

ARCHIVE, LABELS, PARTS = "102flowers.tgz", "imagelabels.mat", "setid.mat"
SIZE = {ARCHIVE: 344_862_509, LABELS: 502, PARTS: 14_989}
SHA256 = {
    ARCHIVE: "2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
    LABELS: "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
    PARTS: "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
}
"""As in tensorflow_datasets/url_checksums/oxford_flowers102.txt, revision 24211da0508a, of
https://github.com/tensorflow/datasets; those of the .mat files were computed from the files too."""
URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
_PARTS = {"train": "trnid", "val": "valid", "test": "tstid"}


@stage
class Flowers102:
    """8189 photos of 102 species, in three parts: train 1020, val 1020, test 6149, in this order.

    The photos are read from ``root/flowers-102/jpg/image_00001.jpg`` …, labels and parts from
    ``imagelabels.mat`` and ``setid.mat`` beside ``jpg``. What is there is used as it is.
    """

    root: Annotated[Path, IOOnly()] = Path("data")
    """The folder that holds, or will hold, ``flowers-102``."""
    download: Annotated[bool, IOOnly()] = True
    """Fetch what is missing (345 MB) or wrong, which is kept beside the right file as ``….wrong``;
    false never touches the network."""
    verify: Annotated[bool, IOOnly()] = True
    """Check the SHA-256 of the archive and of the .mat files; false reads any tree of this form."""

    def __call__(self) -> ImageFiles:
        """List the photos. Raises InputError when they are not there and cannot be fetched."""
        folder = self.root / "flowers-102"
        cause = ""
        if self._faults(folder):
            try:
                self._complete(folder)
            except InputError as error:
                cause = str(error)
            except Exception as error:  # of the archive or the disk: all end here
                cause = f"{type(error).__name__}: {error}"
        if faults := self._faults(folder):
            raise InputError(_advice(folder, [*faults, cause] if cause else faults))
        return _listed(folder)

    def _faults(self, folder: Path) -> list[str]:
        """What keeps the tree from being read."""
        faults = []
        if not (folder / "jpg").is_dir():
            damaged = (folder / ARCHIVE).is_file() and not self._intact(folder / ARCHIVE)
            faults.append(f"{ARCHIVE} has another SHA-256" if damaged else "jpg/ is missing")
        for name in (LABELS, PARTS):
            if not (folder / name).is_file():
                faults.append(f"{name} is missing")
            elif not self._intact(folder / name):
                faults.append(f"{name} has another SHA-256; verify: false reads it anyway")
        return faults

    def _intact(self, path: Path) -> bool:
        return path.is_file() and (not self.verify or _sha256(path) == SHA256[path.name])

    def _complete(self, folder: Path) -> None:
        """Fetch what is missing or, with ``verify``, wrong; nothing that is right is touched."""
        wanted = [name for name in (LABELS, PARTS) if not self._intact(folder / name)]
        no_photos = not (folder / "jpg").exists()
        if no_photos and not self._intact(folder / ARCHIVE):
            wanted.append(ARCHIVE)
        for name in wanted if self.download else ():
            fetch(URL + name, folder / name, size=SIZE[name], sha256=SHA256[name])
        if no_photos and self._intact(folder / ARCHIVE):
            _extract(folder / ARCHIVE, folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _extract(archive: Path, folder: Path) -> None:
    """Extract all or nothing: an interrupted extraction leaves no ``jpg`` behind."""
    temporary = Path(tempfile.mkdtemp(prefix=".extracting-", dir=folder))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        os.sync()  # the photos are on the disk before the folder has its name
        os.rename(temporary / "jpg", folder / "jpg")
    finally:
        shutil.rmtree(temporary)


def _advice(folder: Path, faults: list[str]) -> str:
    return (
        f"{folder}: Oxford Flowers 102 is not there ({'; '.join(faults)}). "
        f"Put {ARCHIVE} (or its extracted folder jpg/), {LABELS} and {PARTS} from {URL} "
        f"into {folder}, or set dataset.root to the folder that holds flowers-102. "
        "recipes/quickstart.yaml needs none of them."
    )


def _listed(folder: Path) -> ImageFiles:
    """Read the .mat files and find each photo they name."""
    ids, species = _read(folder / PARTS), _read(folder / LABELS)
    try:
        numbers = {part: [int(i) for i in ids[key].ravel()] for part, key in _PARTS.items()}
        labels = [int(label) - 1 for label in species["labels"].ravel()]
        chosen = [labels[i - 1] for part in numbers.values() for i in part]
    except (KeyError, IndexError) as error:
        raise InputError(_advice(folder, [f"{PARTS} and {LABELS} do not fit: {error}"])) from error
    if outside := sorted(set(chosen) - set(range(len(CLASS_NAMES)))):
        raise InputError(_advice(folder, [f"{LABELS} has no class {outside[0] + 1}"]))
    names = [f"image_{i:05d}.jpg" for part in numbers.values() for i in part]
    there = set(os.listdir(folder / "jpg"))
    if missing := [name for name in names if name not in there]:
        some = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
        raise InputError(
            f"{folder / 'jpg'}: {len(missing)} of {len(names)} photos are missing: {some}; "
            f"delete the folder and extract {ARCHIVE} again"
        )
    return ImageFiles(
        paths=[folder / "jpg" / name for name in names],
        labels=chosen,
        parts=[part for part, members in numbers.items() for _ in members],
        class_names=CLASS_NAMES,
    )


def _read(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return dict(loadmat(path))
    except Exception as error:  # scipy raises whatever the damage leads it to
        raise InputError(_advice(path.parent, [f"{path.name} cannot be read: {error}"])) from error


_NAMES = """
pink_primrose hard-leaved_pocket_orchid canterbury_bells sweet_pea english_marigold tiger_lily
moon_orchid bird_of_paradise monkshood globe_thistle snapdragon colt's_foot king_protea
spear_thistle yellow_iris globe-flower purple_coneflower peruvian_lily balloon_flower
giant_white_arum_lily fire_lily pincushion_flower fritillary red_ginger grape_hyacinth corn_poppy
prince_of_wales_feathers stemless_gentian artichoke sweet_william carnation garden_phlox
love_in_the_mist mexican_aster alpine_sea_holly ruby-lipped_cattleya cape_flower great_masterwort
siam_tulip lenten_rose barbeton_daisy daffodil sword_lily poinsettia bolero_deep_blue wallflower
marigold buttercup oxeye_daisy common_dandelion petunia wild_pansy primula sunflower pelargonium
bishop_of_llandaff gaura geranium orange_dahlia pink-yellow_dahlia? cautleya_spicata
japanese_anemone black-eyed_susan silverbush californian_poppy osteospermum spring_crocus
bearded_iris windflower tree_poppy gazania azalea water_lily rose thorn_apple morning_glory
passion_flower lotus toad_lily anthurium frangipani clematis hibiscus columbine desert-rose
tree_mallow magnolia cyclamen watercress canna_lily hippeastrum bee_balm ball_moss foxglove
bougainvillea camellia mallow mexican_petunia bromelia blanket_flower trumpet_creeper
blackberry_lily
"""
CLASS_NAMES = tuple(name.replace("_", " ") for name in _NAMES.split())
"""The species in the order of the labels 1 … 102 of imagelabels.mat."""
