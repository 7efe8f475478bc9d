"""Translation of the errors of S3 endpoints."""

from __future__ import annotations

import contextlib
from typing import Final

from sinks.locations.base import DeliveryError, DeliveryStep, PassingError
from sinks.locations.s3.parts import PASSING, code_of

__all__ = ["S3Errors"]

_WRONG_LOGIN: Final = frozenset(
    {"403", "AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken"}
    | {"SignatureDoesNotMatch", "RequestTimeTooSkewed"}
)


class S3Errors(contextlib.AbstractContextManager["S3Errors"]):
    """A context that translates errors of an endpoint and the connection to DeliveryError.

    location: the location's name. where: the object's address. step: the step of the delivery.
    """

    def __init__(self, location: str, where: str, step: DeliveryStep = DeliveryStep.WRITE) -> None:
        self.location, self.where, self.step = location, where, step

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, DeliveryError):
            return
        explained = self._answered(error) or self._on_the_way(error)
        if explained is not None:
            raise explained from error

    def _answered(self, error: Exception) -> DeliveryError | None:
        from botocore.exceptions import ClientError

        if not isinstance(error, ClientError):
            return None
        code = code_of(error)
        reason = str(error.response.get("Error", {}).get("Message") or code)
        if code in PASSING:
            return PassingError(f"the endpoint can't now: {reason}", where=self.where)
        if code in _WRONG_LOGIN:
            hint = f"check the keys of location '{self.location}' and what they may do"
            step = (
                DeliveryStep.LOGIN
                if self.step is DeliveryStep.WRITE and code != "AccessDenied"
                else self.step
            )
            return DeliveryError(f"refused: {reason}", where=self.where, hint=hint, step=step)
        hint = f"check the bucket and the settings of location '{self.location}'"
        what = f"can't be delivered: {reason} ({code})"
        return DeliveryError(what, where=self.where, hint=hint, step=self.step)

    def _on_the_way(self, error: Exception) -> DeliveryError | None:
        from botocore.exceptions import (
            BotoCoreError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            NoCredentialsError,
            SSLError,
        )

        hint = f"check the endpoint of location '{self.location}'"
        if isinstance(error, SSLError):
            what = f"its certificate isn't trusted: {error}"
            return DeliveryError(what, where=self.where, hint=hint, step=DeliveryStep.TRUST)
        if isinstance(error, NoCredentialsError):
            what = "there are no keys: neither in the settings, nor where boto3 looks"
            return DeliveryError(what, where=self.where, step=DeliveryStep.LOGIN)
        if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
            return PassingError(str(error), where=self.where, hint=hint, step=DeliveryStep.CONNECT)
        if isinstance(error, HTTPClientError):
            what = f"the connection was cut, or hangs: {error}"
            return PassingError(what, where=self.where, hint=hint, step=self.step)
        if isinstance(error, BotoCoreError | OSError):
            what = f"can't be delivered: {error}"
            return DeliveryError(what, where=self.where, hint=hint, step=self.step)
        return None
