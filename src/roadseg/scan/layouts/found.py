"""What a layout finds: names of files, nothing of their content."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """One sample; paths are POSIX and relative to the data's folder."""

    split: str
    drive: str | None
    id: str
    image: str | None
    mask: str | None

    @property
    def sample(self) -> str:
        """Unique name `<split>/<drive>/<id>`."""
        return "/".join(part for part in (self.split, self.drive, self.id) if part)
