def honest(job):
    job.emit({"step": 1})
    for name, view in job.outputs.items():
        view[:3] = b"abc"
    return {
        "sum": sum(job.payload.get("numbers", [])),
        "inputs": {n: bytes(v).decode() for n, v in job.inputs.items()},
    }
