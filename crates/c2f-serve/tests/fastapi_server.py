"""What is deployed elsewhere: EfficientNet-Lite0 behind FastAPI, which load.py asks as it asks `c2f-train serve`.

    python fastapi_server.py 8098                 PyTorch, timm's network with weights as they are made
    python fastapi_server.py 8098 network.onnx    onnxruntime, on what `c2f-train export --format onnx` wrote

Needs fastapi, uvicorn, pillow, numpy, and torch and timm or onnxruntime.
"""

import io
import sys
import threading

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

SIDE, THREADS = 224, 2


def with_torch():
    import timm
    import torch

    torch.set_num_threads(THREADS)
    model = timm.create_model("tf_efficientnet_lite0", num_classes=10).eval().to(memory_format=torch.channels_last)

    def predict(pixels):
        with torch.inference_mode():
            x = torch.from_numpy(pixels).to(memory_format=torch.channels_last)
            return torch.softmax(model((x - 0.5) / 0.5), dim=1)[0].tolist()

    return predict


def with_onnxruntime(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(["probabilities"], {"pictures": pixels})[0][0].tolist()


def pixels_of(body):
    picture = Image.open(io.BytesIO(body)).convert("RGB")
    scale = SIDE / 0.875 / min(picture.size)
    picture = picture.resize([max(SIDE, round(side * scale)) for side in picture.size], Image.BILINEAR)
    left, top = [(side - SIDE) // 2 for side in picture.size]
    picture = picture.crop((left, top, left + SIDE, top + SIDE))
    return np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255


def main():
    predict = with_onnxruntime(sys.argv[2]) if len(sys.argv) > 2 else with_torch()
    app, one_at_a_time = FastAPI(), threading.Lock()

    def answer(body):
        try:
            pixels = pixels_of(body)
        except Exception as error:
            raise HTTPException(400, str(error)) from error
        with one_at_a_time:
            scores = predict(pixels)
        return [{"label": str(label), "score": score} for label, score in enumerate(scores)]

    @app.post("/")
    async def classify(request: Request):
        return await run_in_threadpool(answer, await request.body())

    uvicorn.run(app, port=int(sys.argv[1]), log_level="error")


main()
