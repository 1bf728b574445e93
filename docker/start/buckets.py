"""The objects of a bucket as a tar on standard output, or back: `buckets.py save BUCKET`, `buckets.py load BUCKET`.

Address and key come from the environment, as boto3 reads them.
"""

import sys
import tarfile
from tempfile import SpooledTemporaryFile
from typing import Any

import boto3

IN_MEMORY = 64 << 20  # bytes of an object; larger ones pass through a file


def save(client: Any, bucket: str) -> int:
    """Write all objects; returns how many."""
    count = 0
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                answer = client.get_object(Bucket=bucket, Key=entry["Key"])
                member = tarfile.TarInfo(entry["Key"])
                member.size, member.mtime = answer["ContentLength"], int(entry["LastModified"].timestamp())
                archive.addfile(member, answer["Body"])
                count += 1
    return count


def load(client: Any, bucket: str) -> int:
    """Put all objects back; those that are there are written again. Returns how many."""
    count = 0
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                raise ValueError(f"{member.name} is no file: this tar is none that `buckets.py save` wrote")
            with SpooledTemporaryFile(IN_MEMORY) as body:
                while piece := content.read(1 << 20):
                    body.write(piece)
                body.seek(0)
                client.put_object(Body=body, Bucket=bucket, Key=member.name, ContentLength=member.size)
            count += 1
    return count


def main() -> None:
    """Save or load."""
    word, bucket = sys.argv[1:]
    count = {"save": save, "load": load}[word](boto3.client("s3"), bucket)
    print(f"{bucket}: {count} objects", file=sys.stderr)


if __name__ == "__main__":
    main()
