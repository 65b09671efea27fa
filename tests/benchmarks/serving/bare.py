"""The same program behind FastAPI and nothing else: `bare.py PROGRAM PORT`."""

import sys

import torch
import uvicorn
from fastapi import FastAPI

torch.set_num_threads(1)
program = torch.export.load(sys.argv[1]).module()
app = FastAPI()


@app.post("/predict")
def predict(rows: list[list[float]]) -> list[list[float]]:
    with torch.inference_mode():
        return program(torch.tensor(rows)).tolist()


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
