"""Where metrics can be asked for, as the settings say: nowhere, beside the API, or on a port of its own."""

from ostiary.context import App
from ostiary.monitoring.port import MetricsPort
from ostiary.monitoring.routes import MetricsEndpoint, metrics_endpoint
from ostiary.web.endpoint import Endpoint


class MetricsPlace:
    """The one place there is, if there is one."""

    def __init__(self, app: App) -> None:
        settings = app.settings
        self.endpoints: tuple[Endpoint, ...] = ()
        """What is served beside the API."""
        self.port: MetricsPort | None = None
        if settings.metrics_port is not None:
            self.port = MetricsPort(
                MetricsEndpoint(app),
                host=settings.metrics_host,
                port=settings.metrics_port,
                may_overlap=settings.workers > 1,  # workers are replaced one by one
            )
        elif settings.metrics_token is not None:
            self.endpoints = (metrics_endpoint(MetricsEndpoint(app)),)

    def start(self) -> None:
        """Listen, where there is a port. Raises Misconfigured."""
        if self.port is not None:
            self.port.start()

    async def stop(self) -> None:
        """Listen no more."""
        if self.port is not None:
            await self.port.stop()
