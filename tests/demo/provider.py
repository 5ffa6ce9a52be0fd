#!/usr/bin/python3
"""An upstream that talks with agents in the APIs of OpenAI (Responses, Chat Completions), Anthropic (Messages) and Gemini: it
calls a shell tool of the client five times, once in each answer, and then says that all is done. It fails
as configured (failing.py); the pseudo credential turn-N is the Nth of those answers, from 0 on, of whichever account.

Below /backend-api reasoning is bound to the credential that it was made under, as Codex's is: another one refuses it
with 400 invalid_encrypted_content.
"""
import asyncio
import itertools
import json

import failing

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
        self.does = self.behaviours.choose(f"turn-{turn}", "POST") if tools else {"do": "ok"}
        if self.does["do"] != "ok":
            self.row["did"] = self.does.get("status") or self.does["do"]
            return getattr(self, "do_" + self.does["do"])()
        if "/backend-api/" in self.row["path"] and foreign_state(said, token):
            return self.refuse_foreign_state()
        body = answer(said, token, turn, tools)
        kind = "text/event-stream" if said.get("stream") else "application/json"
        return self.write(200, (), body.encode(), kind=kind)

    def refuse_foreign_state(self):
        self.row["did"] = "foreign state"
        error = {"message": "The encrypted content could not be verified.", "type": "invalid_request_error",
                 "param": None, "code": "invalid_encrypted_content"}
        self.write(400, (), json.dumps({"error": error}).encode())


if __name__ == "__main__":
    asyncio.run(failing.main(Provider))
