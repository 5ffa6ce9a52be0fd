#!/usr/bin/python3
"""An upstream that talks with agents in the APIs of OpenAI (Responses, Chat Completions), Anthropic (Messages) and Gemini: it
calls a shell tool of the client five times, once in each answer, and then says that all is done. It fails
as configured (failing.py). The pseudo credential turn-N is the Nth of those answers, from 0 on, of whichever account, and
`model` is every request to a model. It keeps files (provider_files.py), and Responses come over a WebSocket too
(provider_socket.py).

Below /backend-api reasoning is bound to the credential that it was made under, as Codex's is: another one refuses it
with 400 invalid_encrypted_content.
"""
import asyncio
import itertools
import json

import failing
import provider_files
import provider_socket

TURNS = 5
DONE = "All five steps are done."
# Names of shell tools, and their arguments for a command.
SHELLS = {
    "exec_command": lambda command: {"cmd": command},
    "shell_command": lambda command: {"command": command},
    "shell": lambda command: {"command": ["bash", "-c", command]},
    "run_shell_command": lambda command: {"command": command, "description": "Makes a step"},
    "Bash": lambda command: {"command": command, "description": "Makes a step"},
    "bash": lambda command: {"command": command, "description": "Makes a step"},
    "run_commands": lambda command: {"commands": [command]},
}
serial = itertools.count(1)


def call(tools, turn):
    """Name and arguments of a tool call."""
    name = next(name for name in SHELLS if name in tools)
    return name, json.dumps(SHELLS[name](f"echo step-{turn}"))


def events(values, with_name=True):
    text = ""
    for value in values:
        data = value if isinstance(value, str) else json.dumps(value)
        text += (f"event: {value['type']}\n" if with_name else "") + f"data: {data}\n\n"
    return text


# --- Responses ---

def responses_turn(said):
    items = [i for i in said.get("input", ()) if isinstance(i, dict)]
    return sum(1 for i in items if str(i.get("type", "")).endswith("call_output"))


def responses_tools(said):
    return [t.get("name") for t in said.get("tools", ()) if t.get("type") == "function"]


def foreign_state(said, token):
    items = [i for i in said.get("input", ()) if isinstance(i, dict)]
    return any(i.get("encrypted_content") not in (None, bound(token)) for i in items)


def bound(token):
    return f"made-under-{token}"


def responses(said, token, turn, tools):
    n = next(serial)
    usage = {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2}
    whole = {"id": f"resp_{n}", "object": "response", "created_at": 1700000000, "model": said.get("model"),
             "output": [], "status": "in_progress"}
    output = [{"type": "reasoning", "id": f"rs_{n}", "summary": [], "encrypted_content": bound(token)}]
    if tools and turn < TURNS:
        name, arguments = call(tools, turn)
        output.append({"type": "function_call", "id": f"fc_{n}", "call_id": f"call_{n}", "name": name,
                       "arguments": arguments, "status": "completed"})
    else:
        output.append({"type": "message", "id": f"msg_{n}", "role": "assistant", "status": "completed",
                       "content": [{"type": "output_text", "text": DONE, "annotations": []}]})
    done = {**whole, "status": "completed", "output": output, "usage": usage}
    if not said.get("stream"):
        return json.dumps(done)
    some = [{"type": "response.created", "response": whole}]
    for i, item in enumerate(output):
        begun = {**item, "status": "in_progress"}
        some.append({"type": "response.output_item.added", "output_index": i, "item": begun})
        some += parts_of(item, i)
        some.append({"type": "response.output_item.done", "output_index": i, "item": item})
    some.append({"type": "response.completed", "response": done})
    return events({**e, "sequence_number": i} for i, e in enumerate(some))


def parts_of(item, i):
    place = {"item_id": item["id"], "output_index": i}
    if item["type"] == "function_call":
        return [{"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]},
                {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}]
    if item["type"] != "message":
        return []
    place["content_index"] = 0
    part = item["content"][0]
    return [{"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
            {"type": "response.output_text.delta", **place, "delta": part["text"]},
            {"type": "response.output_text.done", **place, "text": part["text"]},
            {"type": "response.content_part.done", **place, "part": part}]


# --- Chat Completions ---

def chat_turn(said):
    return sum(1 for m in said.get("messages", ()) if m.get("role") == "tool")


def chat_tools(said):
    return [t["function"]["name"] for t in said.get("tools", ())]


def chat(said, _, turn, tools):
    n = next(serial)
    whole = {"id": f"chatcmpl-{n}", "created": 1700000000, "model": said.get("model")}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    message, reason = {"role": "assistant", "content": DONE}, "stop"
    if tools and turn < TURNS:
        name, arguments = call(tools, turn)
        message = {"role": "assistant", "content": None, "tool_calls": [
            {"index": 0, "id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}]}
        reason = "tool_calls"
    if not said.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return json.dumps({**whole, "object": "chat.completion", "choices": [choice], "usage": usage})
    whole["object"] = "chat.completion.chunk"
    return events([
        {**whole, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**whole, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {**whole, "choices": [], "usage": usage}, "[DONE]"], with_name=False)


# --- Messages ---

def messages_turn(said):
    contents = [m["content"] for m in said.get("messages", ()) if isinstance(m.get("content"), list)]
    return sum(1 for content in contents for block in content if block.get("type") == "tool_result")


def messages_tools(said):
    return [t.get("name") for t in said.get("tools", ())]


def messages(said, _, turn, tools):
    n = next(serial)
    block, delta, reason = {"type": "text", "text": ""}, {"type": "text_delta", "text": DONE}, "end_turn"
    whole_block = {"type": "text", "text": DONE}
    if tools and turn < TURNS:
        name, arguments = call(tools, turn)
        block = {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": {}}
        delta, reason = {"type": "input_json_delta", "partial_json": arguments}, "tool_use"
        whole_block = {**block, "input": json.loads(arguments)}
    message = {"id": f"msg_{n}", "type": "message", "role": "assistant", "model": said.get("model"), "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    if not said.get("stream"):
        return json.dumps({**message, "content": [whole_block], "stop_reason": reason})
    return events([
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
         "usage": {"output_tokens": 1}},
        {"type": "message_stop"}])


# --- Gemini ---

def gemini_turn(said):
    return sum(1 for c in said.get("contents", ()) for p in c.get("parts", ()) if "functionResponse" in p)


def gemini_tools(said):
    return [f.get("name") for t in said.get("tools", ()) for f in t.get("functionDeclarations", ())]


def gemini(said, _, turn, tools):
    part = {"text": DONE}
    if tools and turn < TURNS:
        name, arguments = call(tools, turn)
        part = {"functionCall": {"name": name, "args": json.loads(arguments)}}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    whole = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "demo", "responseId": f"r{next(serial)}"}
    return events([whole], with_name=False) if said.get("stream") else json.dumps(whole)


APIS = {
    "/responses": (responses_turn, responses_tools, responses),
    "/chat/completions": (chat_turn, chat_tools, chat),
    "/messages": (messages_turn, messages_tools, messages),
    ":generateContent": (gemini_turn, gemini_tools, gemini),
    ":streamGenerateContent": (gemini_turn, gemini_tools, gemini),
}
MODELS = [{"id": "demo", "object": "model", "created": 1700000000, "owned_by": "demo", "type": "model",
           "display_name": "Demo"}]


class Provider(failing.Connection):
    frames = None  # of a WebSocket

    def data_received(self, data):
        if not self.frames:
            return super().data_received(data)
        for kind, message in self.frames.feed(data):
            self.do_message(kind, message)

    def begin(self):
        self.body = b""
        return super().begin()

    def take(self):
        self.body += self.data[:self.left]
        super().take()

    def do_ok(self):
        path = self.row["path"]
        api = next((api for end, api in APIS.items() if path.endswith(end)), None)
        if api and self.row["method"] == "POST":
            return self.do_turn(*api)
        if self.named().get("upgrade", "").lower() == "websocket":
            return self.do_upgrade()
        if provider_files.is_about_files(path):
            return self.write(*provider_files.answer(self.row["method"], path, self.named(), self.row["token"], self.body))
        if path.endswith("/count_tokens"):
            return self.write(200, (), b'{"input_tokens":1}')
        if path.endswith(":countTokens"):
            return self.write(200, (), b'{"totalTokens":1}')
        return self.write(200, (), json.dumps({"object": "list", "data": MODELS, "models": [], "has_more": False}).encode())

    def do_turn(self, turn_of, tools_of, answer):
        try:
            said = json.loads(self.body)
            if self.row["path"].endswith(":streamGenerateContent"):
                said["stream"] = True
            tools = [name for name in tools_of(said) if name in SHELLS]
            turn, token = turn_of(said), self.row["token"]
        except (ValueError, AttributeError, KeyError, TypeError):
            return self.write(400, (), b'{"error":{"message":"this is no request","type":"invalid_request_error"}}')
        self.row.update(turn=turn if tools else None, stream=bool(said.get("stream")))
        self.does = self.behaviours.choose("model", "POST")
        if tools and self.does["do"] == "ok":
            self.does = self.behaviours.choose(f"turn-{turn}", "POST")
        if self.does["do"] != "ok":
            self.row["did"] = self.does.get("status") or self.does["do"]
            return getattr(self, "do_" + self.does["do"])()
        if "/backend-api/" in self.row["path"] and foreign_state(said, token):
            return self.refuse_foreign_state()
        body = answer(said, token, turn, tools).encode()
        return self.write_events(body) if said.get("stream") else self.write(200, (), body)

    def do_upgrade(self):
        self.does = self.behaviours.choose("model", "POST")
        if self.does["do"] != "ok":
            self.row["did"] = self.does.get("status") or self.does["do"]
            return getattr(self, "do_" + self.does["do"])()
        self.frames, self.items = provider_socket.Frames(), []
        self.transport.write(provider_socket.handshake(self.named()))

    def do_message(self, kind, message):
        """A response.create; its input may go on from that of the one before."""
        if kind != provider_socket.TEXT:
            if kind == provider_socket.CLOSE:
                self.transport.write(provider_socket.frame(kind, message))
                self.transport.close()
            return
        said = json.loads(message)
        before = self.items if said.get("previous_response_id") else []
        said = {**said, "stream": True, "input": [*before, *said.get("input", ())]}
        tools = [name for name in responses_tools(said) if name in SHELLS]
        tools = tools if said.get("generate", True) else []
        turn = responses_turn(said)
        self.book.add({**{k: v for k, v in self.row.items() if k != "count"}, "did": "ok", "turn": turn if tools else None,
                       "stream": True, "body_len": len(message), "method": "POST"})
        text = responses(said, self.row["token"], turn, tools)
        self.book.end(self.book.rows[-1], "answered_at")
        lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        self.items = [*said["input"], *json.loads(lines[-1])["response"]["output"]]
        for line in lines:
            self.transport.write(provider_socket.frame(provider_socket.TEXT, line.encode()))

    def named(self):
        return {name.lower(): value for name, value in self.row["headers"]}

    def write_events(self, body):
        """Each event is a chunk, as at the providers."""
        self.served += 1
        self.transport.write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in [*filter(None, body.split(b"\n\n"))]:
            self.transport.write(b"%x\r\n%s\n\n\r\n" % (len(event) + 2, event))
        self.transport.write(b"0\r\n\r\n")
        self.end()

    def refuse_foreign_state(self):
        self.row["did"] = "foreign state"
        error = {"message": "The encrypted content could not be verified.", "type": "invalid_request_error",
                 "param": None, "code": "invalid_encrypted_content"}
        self.write(400, (), json.dumps({"error": error}).encode())


if __name__ == "__main__":
    asyncio.run(failing.main(Provider))
