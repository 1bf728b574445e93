"""The process that predicts: one version's model, pictures in, answers out, over a socket.

`python -m roadseg.serving.server.worker DESCRIPTOR JSON`, started by the server, with whom it ends. It decodes while it
predicts, and encodes while it predicts the next.
"""

import json
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from roadseg.contracts.errors import RoadsegError
from roadseg.machine.chatter import hush
from roadseg.machine.signals import follow_parent
from roadseg.serving.server import pictures
from roadseg.serving.server.limits import Limits
from roadseg.serving.server.refusal import Refusal, busy
from roadseg.serving.server.wire import Line, Message

if TYPE_CHECKING:
    from roadseg.serving.server.model import Answer, Model, Wanted


@dataclass(frozen=True)
class Job:
    """A picture to answer: `head` is what was asked, `mask` another model's ids to compare with."""

    head: dict[str, Any]
    image: np.ndarray
    mask: np.ndarray | None
    began: float

    @property
    def wanted(self) -> "Wanted":
        """What the model is asked for."""
        if self.head["kind"] == "npy":
            return "probabilities"
        return "confidence" if self.head["kind"] == "json" or self.head["sampled"] else "ids"


class Worker:
    """Answers what comes over the line until it closes."""

    def __init__(self, line: Line, model: "Model", limits: Limits) -> None:
        self._line, self._model, self._limits = line, model, limits
        self._classes = model.bundle.classes
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._cancelled: set[int] = set()
        self._encoding, self._sending = ThreadPoolExecutor(1), threading.Lock()

    def run(self) -> None:
        """Answer; what waits is taken at once, as many as make a batch, and nothing waits for more."""
        threading.Thread(target=self._receive, daemon=True).start()
        while job := self._jobs.get():
            jobs = [job]
            while len(jobs) < self._model.images:
                try:
                    following = self._jobs.get_nowait()
                except Empty:
                    break
                if following is None:
                    return
                jobs.append(following)
            live = [each for each in jobs if each.head["id"] not in self._cancelled]
            self._cancelled -= {each.head["id"] for each in jobs}
            for wanted, group in groupby(sorted(live, key=lambda each: each.wanted), lambda each: each.wanted):
                self._predict(list(group), wanted)

    def _receive(self) -> None:
        """Decode what comes; a picture that is refused is answered from here."""
        while message := self._line.receive():
            if message.head.get("cancel"):
                self._cancelled.add(message.head["cancel"])
                continue
            try:
                self._jobs.put(self._decoded(message))
            except Refusal as refusal:
                self._refuse(message.head, refusal)
            except MemoryError:
                self._refuse(message.head, busy("no memory is left for a picture of this size"))
            except Exception:  # a defect, which must not end the server
                traceback.print_exc()
                self._refuse(message.head, busy("the picture could not be decoded", "tell whoever runs the server"))
        self._jobs.put(None)

    def _decoded(self, message: Message) -> Job:
        began = time.perf_counter()
        image = pictures.decode(message.parts[0], message.head["kind"], self._classes.count, self._limits)
        mask = pictures.opened_mask(message.parts[1]) if message.parts[1:] else None
        return Job(message.head, image, mask, began)

    def _predict(self, jobs: list[Job], wanted: "Wanted") -> None:
        left = list(jobs)
        try:
            for answer in self._model([job.image for job in jobs], wanted):
                self._encoding.submit(self._answer, left.pop(0), answer, len(jobs))
        except Exception as error:  # memory, or a defect: who waits is told, and the next are served
            print(f"error: {len(left)} pictures could not be predicted: {error}", file=sys.stderr, flush=True)
            for job in left:
                self._encoding.submit(self._refuse, job.head, busy("the model failed on this picture"))

    def _answer(self, job: Job, answer: "Answer", together: int) -> None:
        try:
            self._send(self._encoded(job, answer, together))
        except Exception:
            traceback.print_exc()
            self._refuse(job.head, busy("the answer could not be made"))

    def _encoded(self, job: Job, answer: "Answer", together: int) -> Message:
        kind, classes = job.head["kind"], self._classes
        ids, confidence = answer
        if kind == "npy":
            body, confidence, ids = pictures.probabilities_npy(ids), ids.max(-1), ids.argmax(-1).astype(np.uint8)
        counts = pictures.count_pixels(ids, classes.count)
        about: dict[str, Any] = {"id": job.head["id"], "counts": counts, "batch": together, "size": list(ids.shape)}
        if confidence is not None:
            about["sure"] = float(confidence.mean())
            about |= pictures.mask_summary(counts, pictures.by_class(confidence, ids, counts), classes)
        if job.mask is not None:
            cells = job.mask.astype(np.intp) * classes.count + ids
            confusion = np.bincount(cells.ravel(), minlength=classes.count**2).reshape(classes.count, classes.count)
            return Message(about | {"confusion": confusion.tolist()})
        if kind == "png":
            body = pictures.mask_png(ids, classes)
        elif kind == "jpeg":
            body = pictures.overlay_jpeg(job.image, ids, classes)
        elif kind == "json":
            body = b""
        about["seconds"] = time.perf_counter() - job.began
        masks = [body if kind == "png" else pictures.mask_png(ids, classes)] if job.head["sampled"] else []
        return Message(about, [body, *masks])

    def _refuse(self, head: dict[str, Any], refusal: Refusal) -> None:
        self._send(Message({"id": head["id"], "status": refusal.status, **refusal.content}))

    def _send(self, message: Message) -> None:
        with self._sending:
            self._line.send(message)


def main() -> None:
    """Load the model, say so, and answer."""
    follow_parent()
    hush()
    line, asked = Line(int(sys.argv[1])), json.loads(sys.argv[2])
    os.nice(asked["nice"])
    began = time.monotonic()
    try:
        from roadseg.serving.server.model import load  # late: Keras loads in seconds

        model = load(Path(asked["folder"]), asked["settings"])
        if (weights := model.bundle.card["weights"]) != (asked["weights"] or weights):
            raise RoadsegError(f"{asked['folder']} has the weights {weights[:12]}, not {asked['weights'][:12]}")
    except Exception as error:
        if not isinstance(error, RoadsegError):
            traceback.print_exc()
        line.send(Message({"failed": " ".join(str(error).split())[:500] or type(error).__name__}))
        return
    card = model.bundle.card
    about = {"weights": card["weights"], "model": card.get("model"), "fingerprint": card.get("fingerprint")}
    about |= {"classes": model.bundle.classes.content, "settings": model.settings, "images": model.images}
    line.send(Message(about | {"alike": model.alike, "seconds": time.monotonic() - began}))
    Worker(line, model, Limits(**asked["limits"])).run()


if __name__ == "__main__":
    main()
