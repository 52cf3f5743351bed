"""RoomService for the app's backend: the operator API, user signatures, tokens, webhooks."""

from ._http import ApiError
from .client import Client
from .sign import operator_token, user_sig
from .webhooks import WebhookError, read_webhook

__all__ = ["ApiError", "Client", "WebhookError", "operator_token", "read_webhook", "user_sig"]
