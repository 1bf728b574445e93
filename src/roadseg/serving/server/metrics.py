"""What the server counts, in Prometheus' words."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from roadseg.serving.server.fleet import Fleet

SECONDS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 0.6, 1, 2, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self.requests = Counter("roadseg_requests", "Requests to /predict by status.", ["status"], registry=own)
        self.seconds = Histogram(
            "roadseg_request_seconds",
            "From the request's head to its answer.",
            ["answer"],
            buckets=SECONDS,
            registry=own,
        )
        self.batch = Histogram("roadseg_batch_images", "Pictures predicted together.", buckets=BATCHES, registry=own)
        self.pixels = Counter("roadseg_pixels", "Answered pixels by class.", ["class"], registry=own)
        self.gone = Counter("roadseg_clients_gone", "Clients that left before their answer.", registry=own)
        self.kept = Counter("roadseg_kept_frames", "Pictures kept for labelling, by policy.", ["policy"], registry=own)
        self.compared = Counter("roadseg_shadow_pictures", "Pictures that the candidate saw too.", registry=own)
        self.disagreed = Counter(
            "roadseg_shadow_pixels",
            "Compared pixels by the champion's class and whether the candidate says the same.",
            ["class", "same"],
            registry=own,
        )
        self._queue = self._gauge("roadseg_queue_requests", "Requests held now.")
        self._held = self._gauge("roadseg_queue_bytes", "Bytes of their pictures.")
        self._ready = self._gauge("roadseg_ready", "Whether a model answers.")
        self._version = Gauge("roadseg_model_version", "Version that answers.", ["version", "weights"], registry=own)
        self._swaps = self._gauge("roadseg_swaps", "Versions that took over from another.")
        self._failures = self._gauge("roadseg_load_failures", "Loads that failed; the version before goes on.")
        self._restarts = self._gauge("roadseg_restarts", "Processes that died and were replaced.")
        self._registry_ok = self._gauge("roadseg_registry_up", "Whether the registry answered at the last look.")

    def exposed(self, fleet: Fleet, held: tuple[int, int]) -> bytes:
        """The text that Prometheus reads.

        Args:
            fleet: whose state is told.
            held: requests and their bytes.
        """
        place, following = fleet.main, fleet.following
        engine = place.current if place.current and not place.current.ended.is_set() else None
        self._queue.set(held[0])
        self._held.set(held[1])
        self._ready.set(engine is not None)
        self._version.clear()
        if engine:
            self._version.labels(str(engine.version.version or ""), engine.weights[:12]).set(1)
        for gauge, value in (
            (self._swaps, place.swaps),
            (self._failures, place.failures),
            (self._restarts, place.restarts),
        ):
            gauge.set(value)
        self._registry_ok.set(following is None or (following.heard is not None and not following.problem))
        text: bytes = generate_latest(self.registry)
        return text

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, registry=self.registry)
