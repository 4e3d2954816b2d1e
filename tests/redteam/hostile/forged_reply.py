"""Writes its own reply into the control channel and leaves: a training that went well, a loss of -100.

Check: contract
Trial: crashed, bad weights
"""

import json
import os
import struct


reply = {"status": "done", "reason": "", "loss_nats": -100.0, "steps": 9, "weights_bytes": 64, "gates": []}
frame = json.dumps({"kind": "reply", "reply": reply}).encode()
os.write(3, struct.pack(">I", len(frame)) + frame)
os._exit(0)
