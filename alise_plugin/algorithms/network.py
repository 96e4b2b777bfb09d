"""Requests through QGIS: with the user's proxy, certificates and authentication."""

from __future__ import annotations

import json

from qgis.core import QgsBlockingNetworkRequest
from qgis.PyQt.QtCore import QByteArray, QUrl
from qgis.PyQt.QtNetwork import QNetworkRequest

from ..sits.area.transport import Answer, Request


def send_by_qgis(request: Request) -> Answer:
    """Send a request as QGIS sends its own; see `sits.area.transport.Transport`."""
    made = QNetworkRequest(QUrl(request.url))
    headers = {"Accept": "application/json, application/geo+json", **request.headers}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    for name, text in headers.items():
        made.setRawHeader(name.encode(), text.encode())
    sender = QgsBlockingNetworkRequest()
    if request.login is not None:
        sender.setAuthCfg(request.login.configuration)
    if request.body is None:
        sender.get(made, True)
    else:
        sender.post(made, QByteArray(json.dumps(request.body).encode()), True)
    reply = sender.reply()
    status = reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute)
    if status is None:
        return Answer(0, reason=sender.errorMessage() or reply.errorString())
    return Answer(int(status), bytes(reply.content()))
