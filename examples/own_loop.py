"""Growth in a training loop of one's own: a plain torch program, and the lines that are marked."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy

import kasmina  # 1

torch.manual_seed(0)
images, digits = load_digits(return_X_y=True)
rows = train_test_split(torch.tensor(images / 16).float(), torch.tensor(digits), test_size=0.3, random_state=0)
x, x_val, y, y_val = rows

host = nn.Sequential(nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 10))
optimizer = torch.optim.Adam(host.parameters(), lr=0.01)
growth = kasmina.attach(host, optimizer, x[:64], lambda: cross_entropy(host(x_val), y_val), sites="0:2")  # 2

for epoch in range(60):
    for batch in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        loss = cross_entropy(host(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        growth.after_step(loss)  # 3
    growth.after_epoch()  # 4

growth.detach()  # 5
host.eval()
accuracy = (host(x_val).argmax(1) == y_val).float().mean()
print(f"{growth.parameters} parameters after {len(growth.live_seeds)} seeds, validation accuracy {accuracy:.3f}")
