"""What an inbox may be told; the form of the deployment and the verb show the same fields."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from roadseg.contracts.files import digest_of, home

DAY = 86400.0  # seconds


class Inbox(BaseModel):
    """A folder, or a bucket's prefix, in which archives and folders of drives arrive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = Field(
        default="",
        pattern=r"^((/|s3://[^/]).*)?$",
        description="where deliveries arrive, a whole path from / on, or s3://BUCKET/PREFIX; empty: inbox/new beside "
        "roadseg's home",
    )
    quiet: float = Field(
        default=10.0, ge=0.0, le=3600.0, description="seconds (0 to 3600) that a delivery must stand still"
    )
    patience: float = Field(
        default=60.0, ge=0.0, le=3600.0, description="seconds (0 to 3600) that one look waits; the next takes the rest"
    )
    days: int = Field(
        default=14, ge=0, le=3650, description="days (0 to 3650) that images wait for masks before they are refused"
    )
    after: Literal["keep", "move"] = Field(
        default="keep", description="keep: files stay where they are; move: what was taken goes to taken/ beside"
    )
    again: bool = Field(default=False, description="judge what was refused before once more")

    @model_validator(mode="after")
    def _leave_buckets_alone(self) -> Self:
        if self.in_bucket and self.after == "move":
            raise ValueError("after: move needs a folder; in a bucket nothing is moved")
        return self

    @property
    def in_bucket(self) -> bool:
        """Whether deliveries arrive in a bucket; `bucket.mirror` then keeps `path` like it."""
        return self.folder.startswith("s3://")

    @property
    def place(self) -> str:
        """Where deliveries arrive, for people."""
        return self.folder if self.in_bucket else str(self.path)

    @property
    def path(self) -> Path:
        """The folder, absolute; of a bucket its mirror in home."""
        if self.in_bucket:
            return home() / "inbox/buckets" / digest_of(self.folder.rstrip("/"))[:12] / "new"
        return Path(self.folder) if self.folder else home().parent / "inbox/new"

    @property
    def refused(self) -> Path:
        """Where what is refused is put, with the reasons."""
        return self.path.parent / "refused"

    @property
    def taken(self) -> Path:
        """Where what was taken is moved, if it is."""
        return self.path.parent / "taken"
