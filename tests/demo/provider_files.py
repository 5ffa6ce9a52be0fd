"""Files that a provider keeps for each credential, in the APIs of OpenAI, Anthropic and Gemini, for provider.py."""
import email
import itertools
import json

serial = itertools.count(1)
kept = {}  # id: (credential, name, content)
DOWNLOAD = "application/octet-stream"


def is_about_files(path):
    return "files" in path.split("/")


def shown(i, headers):
    """As OpenAI and as Anthropic show a file."""
    _, name, content = kept[i]
    created = "2026-01-01T00:00:00Z" if "anthropic-version" in headers else 1700000000
    return {"id": i, "object": "file", "type": "file", "filename": name, "bytes": len(content), "size_bytes": len(content),
            "created_at": created, "purpose": "user_data", "status": "processed", "mime_type": DOWNLOAD,
            "downloadable": True}


def shown_by_gemini(i):
    _, name, content = kept[i]
    return {"name": f"files/{i}", "displayName": name, "mimeType": DOWNLOAD, "sizeBytes": str(len(content)),
            "uri": f"https://files.example/v1beta/files/{i}", "state": "ACTIVE"}


def keep(token, name, content):
    i = f"file-{next(serial)}"
    kept[i] = (token, name, content)
    return i


def parts(headers, body):
    """The first part of a form that is a file: its name and content."""
    message = email.message_from_bytes(b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + body)
    part = next(p for p in message.get_payload() if p.get_filename())
    return part.get_filename(), part.get_payload(decode=True)


def gemini(method, segments, headers, token, body):
    if segments[0] == "upload" and "start" in headers.get("x-goog-upload-command", ""):
        where = f"http://{headers['host']}/upload/v1beta/files?upload_id=secret&upload_protocol=resumable"
        return 200, [("X-Goog-Upload-URL", where), ("X-Goog-Upload-Status", "active")], b"{}"
    if segments[0] == "upload":
        said = {"file": shown_by_gemini(keep(token, "of-gemini", body))}
        return 200, [("X-Goog-Upload-Status", "final")], json.dumps(said).encode()
    own = [i for i, (of, _, _) in kept.items() if of == token]
    if segments[-1] == "files":
        return 200, [], json.dumps({"files": [shown_by_gemini(i) for i in own]}).encode()
    if segments[-1] not in own:
        return 404, [], b'{"error":{"code":404,"message":"no such file","status":"NOT_FOUND"}}'
    if method == "DELETE":
        del kept[segments[-1]]
        return 200, [], b"{}"
    return 200, [], json.dumps(shown_by_gemini(segments[-1])).encode()


def answer(method, path, headers, token, body):
    """Status, headers and body."""
    segments = [s for s in path.split("/") if s]
    if "x-goog-api-key" in headers or segments[0] == "upload":
        return gemini(method, segments, headers, token, body)
    own = [i for i, (of, _, _) in kept.items() if of == token]
    rest = segments[segments.index("files") + 1:]
    if not rest and method == "POST":
        return 200, [], json.dumps(shown(keep(token, *parts(headers, body)), headers)).encode()
    if not rest:
        return 200, [], json.dumps({"object": "list", "data": [shown(i, headers) for i in own], "has_more": False}).encode()
    if rest[0] not in own:
        return 404, [], b'{"error":{"message":"no such file","type":"invalid_request_error","code":"not_found"}}'
    if rest[1:] == ["content"]:
        return 200, [], kept[rest[0]][2]
    said = shown(rest[0], headers)
    if method == "DELETE":
        del kept[rest[0]]
        said = {"id": rest[0], "object": "file", "type": "file_deleted", "deleted": True}
    return 200, [], json.dumps(said).encode()
