"""Messages (EML, MSG) -> a head, the body, and the text of each attachment."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.policy import default as modern
from email.utils import parseaddr

import oxmsg

from pipeline.domain import Failure, Reason
from pipeline.extraction.values import Bounds, Reader, Text, plain_line, together

MOST_ATTACHMENTS = 100
Attached = tuple[str, bytes]


def read_eml(content: bytes, bounds: Bounds, read: Reader) -> Text | Failure:
    """A message as the internet sends it (RFC 5322 and MIME)."""
    message = message_from_bytes(content, policy=modern)
    try:
        sent = message["Date"].datetime.astimezone(UTC) if message["Date"] else None
    except (AttributeError, ValueError, OverflowError):
        sent = None
    head = {name: _field(message, name) for name in ("Subject", "From", "To", "Date")}
    body = message.get_body(("plain", "html"))
    attached = _attached_to(message, body)
    told = _part(body) if body else None
    return _joined("eml", head, told, attached, sent, bounds, read)


def _field(message: EmailMessage, name: str) -> str | None:
    try:
        return plain_line(str(message[name])) if message[name] is not None else None
    except (ValueError, IndexError, AttributeError):  # what the standard library raises for malformed fields
        return None


def _part(part: MIMEPart) -> Attached:
    """A name by which its form is known, and bytes; the encoding that a text declares is turned into UTF-8."""
    kind = part.get_content_type()
    content = part.get_payload(decode=True) or b""
    content = content if isinstance(content, bytes) else b""
    charset = part.get_content_charset()
    if kind.startswith("text/") and charset:
        with suppress(LookupError, UnicodeError):  # it is then decoded as any text is
            content = content.decode(charset).encode()
    return part.get_filename() or ("body.html" if kind == "text/html" else "body.txt"), content


def _attached_to(message: EmailMessage, body: MIMEPart | None) -> Iterator[Attached]:
    for part in message.walk():
        if part is body or part.is_multipart() or part.get_content_maintype() == "image":
            continue
        if part.get_content_disposition() == "attachment" or part.get_filename():
            yield _part(part)


def read_msg(content: bytes, bounds: Bounds, read: Reader) -> Text | Failure:
    """A message as Outlook saves it."""
    try:
        message = oxmsg.Message.load(io.BytesIO(content))
        head = {
            "Subject": message.subject,
            "From": message.sender,
            "To": ", ".join(map(_recipient, message.recipients)),
        }
        sent = message.sent_date
        body = ("body.txt", message.body.encode()) if message.body else None
        if body is None and message.html_body:
            body = ("body.html", message.html_body.encode())
        attached = [(one.file_name or "", one.file_bytes or b"") for one in message.attachments]
    except Exception:  # noqa: BLE001 - the parser lets through whatever a broken file makes Python raise
        return Failure(Reason.DAMAGED, "msg that cannot be read: it was cut short or is damaged")
    dated = head | {"Date": sent.isoformat() if sent else None}
    return _joined("msg", dated, body, iter(attached), sent, bounds, read)


def _recipient(recipient: oxmsg.recipient.Recipient) -> str:
    return recipient.name or recipient.email_address or ""


def _joined(
    form: str,
    head: dict[str, str | None],
    body: Attached | None,
    attached: Iterator[Attached],
    sent: datetime | None,
    bounds: Bounds,
    read: Reader,
) -> Text | Failure:
    """The parts that were there, one below the other; an attachment without text is named, and why."""
    parts = ["\n".join(f"{name}: {line}" for name, value in head.items() if (line := plain_line(value)))]
    found = read(body[1], body[0], bounds) if body and body[1].strip() else None
    if isinstance(found, Text):
        parts.append(found.content.strip())
    inside: list[Text | Failure] = [found] if isinstance(found, Text) else []
    for number, (name, content) in enumerate(attached):
        if number == MOST_ATTACHMENTS:
            return Failure(Reason.UNSUPPORTED, f"{form} with more than {MOST_ATTACHMENTS} attachments")
        found = read(content, name, bounds)
        inside.append(found)
        parts.append(_attachment(plain_line(name) or f"attachment {number + 1}", found))
        bounds = bounds.less(len(content))
    text = "\n\n".join(part for part in parts if part)
    if not text.strip():
        return Failure(Reason.EMPTY, f"{form} without text")
    about = (plain_line(head["Subject"]), _person(head["From"]), sent)
    return Text(text, None, form, *about, **together(inside))


def _person(sender: str | None) -> str | None:
    name, address = parseaddr(sender or "")
    return plain_line(name or address or sender)


def _attachment(name: str, found: Text | Failure) -> str:
    if isinstance(found, Text):
        return f"Attachment {name}:\n\n{found.content.strip()}"
    return f"Attachment {name}: not read ({found.detail})"
