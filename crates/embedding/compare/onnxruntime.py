#!/usr/bin/env python3
"""Time ONNX Runtime on the built-in model, on the texts and in the way of `minilm.rs` beside it, on the CPU.

The graph is built here from the weights in the model directory, out of the operators that the optimizer of ONNX
Runtime would fuse the network into (`EmbedLayerNormalization`, `Attention`, `BiasGelu`, `SkipLayerNormalization`), so
that neither PyTorch nor an export is needed. Its vectors are compared with those of PyTorch before anything is timed.
int8 is ONNX Runtime's own dynamic quantisation, with a scale for each output channel.

The texts of a batch are padded to the longest of them and masked, as ONNX Runtime needs it; `--sorted` puts texts of
about one length together, which pads least.

    python3 -m venv venv
    venv/bin/pip install onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6 tokenizers==0.23.3 safetensors==0.8.0
    venv/bin/python onnxruntime.py <directory with model.safetensors, tokenizer.json, config.json> [texts, one a line]
"""

# Beside a file of this name, `import onnxruntime` would find the file.
import sys

sys.path.pop(0)

import argparse
import json
import pathlib
import tempfile
import time

import numpy
import onnx
import onnxruntime
import onnxruntime.quantization
import safetensors.numpy
import tokenizers
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
FIXTURE = HERE.parent / "tests" / "fixtures" / "minilm_vectors.json"
MAX_TOKENS = 256
TEXTS_TIMED = 64
MICROSOFT = "com.microsoft"


def graph(directory: pathlib.Path) -> onnx.ModelProto:
    """The network from token ids and mask, `[texts, tokens]`, to the mean of the last hidden states of each text."""
    config = json.loads((directory / "config.json").read_text())
    weights = safetensors.numpy.load_file(directory / "model.safetensors")
    heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
    nodes, constants = [], []

    def constant(name: str, value: numpy.ndarray) -> str:
        constants.append(numpy_helper.from_array(numpy.ascontiguousarray(value), name))
        return name

    def weight(name: str) -> str:
        return constant(name, weights[name])

    def turned(name: str) -> str:
        return constant(name, weights[name].T)

    def node(operator: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], output, domain=domain, **attributes))
        return output

    embeddings = ["word_embeddings", "position_embeddings", "token_type_embeddings"]
    hidden = node(
        "EmbedLayerNormalization",
        ["tokens", ""]
        + [weight(f"embeddings.{name}.weight") for name in embeddings]
        + [weight("embeddings.LayerNorm.weight"), weight("embeddings.LayerNorm.bias")],
        "embedded",
        MICROSOFT,
        epsilon=epsilon,
    )
    # The operator has a second output that nobody reads.
    nodes[-1].output.append("mask_index_unused")
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        parts = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        attended = node(
            "Attention",
            [
                hidden,
                constant(f"{layer}.qkv.weight", numpy.concatenate([weights[f"{p}.weight"].T for p in parts], axis=1)),
                constant(f"{layer}.qkv.bias", numpy.concatenate([weights[f"{p}.bias"] for p in parts])),
                "mask",
            ],
            f"{layer}.attended",
            MICROSOFT,
            num_heads=heads,
        )

        def normalised(value: str, residual: str, dense: str, norm: str, output: str) -> str:
            product = node("MatMul", [value, turned(f"{dense}.weight")], f"{output}.product")
            return node(
                "SkipLayerNormalization",
                [product, residual, weight(f"{norm}.weight"), weight(f"{norm}.bias"), weight(f"{dense}.bias")],
                output,
                MICROSOFT,
                epsilon=epsilon,
            )

        hidden = normalised(
            attended, hidden, f"{layer}.attention.output.dense", f"{layer}.attention.output.LayerNorm", f"{layer}.middle"
        )
        expanded = node("MatMul", [hidden, turned(f"{layer}.intermediate.dense.weight")], f"{layer}.expanded")
        active = node("BiasGelu", [expanded, weight(f"{layer}.intermediate.dense.bias")], f"{layer}.active", MICROSOFT)
        hidden = normalised(active, hidden, f"{layer}.output.dense", f"{layer}.output.LayerNorm", f"{layer}.output")

    mask = node("Cast", ["mask"], "mask_float", to=TensorProto.FLOAT)
    mask = node("Unsqueeze", [mask, constant("last", numpy.array([-1]))], "mask_column")
    total = node("ReduceSum", [node("Mul", [hidden, mask], "kept"), constant("middle", numpy.array([1]))], "total", keepdims=0)
    count = node("ReduceSum", [mask, "middle"], "count", keepdims=0)
    node("Div", [total, count], "mean")
    return helper.make_model(
        helper.make_graph(
            nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info(name, TensorProto.INT32, ["texts", "tokens"]) for name in ("tokens", "mask")],
            [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["texts", config["hidden_size"]])],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=8,
    )


class Model:
    """A session, and the tokenizer in front of it."""

    def __init__(self, path: pathlib.Path, tokenizer: tokenizers.Tokenizer, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizer

    def embed(self, texts: list[str]) -> numpy.ndarray:
        """A vector of length 1 for each text: `[texts, dimension]`."""
        encoded = self.tokenizer.encode_batch_fast(texts)
        tokens = numpy.array([text.ids for text in encoded], dtype=numpy.int32)
        mask = numpy.array([text.attention_mask for text in encoded], dtype=numpy.int32)
        (mean,) = self.session.run(["mean"], {"tokens": tokens, "mask": mask})
        return mean / numpy.linalg.norm(mean, axis=1, keepdims=True)


def least_cosine(model: Model, entries: list[dict]) -> float:
    """How far the vectors are from those of PyTorch, over all texts of the fixture: 1 where they are the same."""
    vectors = model.embed([entry["text"] for entry in entries])
    expected = numpy.array([entry["vector"] for entry in entries])
    expected /= numpy.linalg.norm(expected, axis=1, keepdims=True)
    return float((vectors * expected).sum(axis=1).min())


def measure(model: Model, texts: list[str], size: int, seconds: float) -> str:
    """Embeds all texts, so many at once, in rounds, and takes the shortest of the times of each batch."""
    batches = [texts[start : start + size] for start in range(0, len(texts) - size + 1, size)]
    shortest = [float("inf")] * len(batches)
    rounds, begin = 0, time.perf_counter()
    while rounds < 2 or time.perf_counter() - begin < seconds:
        for index, batch in enumerate(batches):
            now = time.perf_counter()
            model.embed(batch)
            shortest[index] = min(shortest[index], time.perf_counter() - now)
        rounds += 1
    count = len(batches) * size
    each = sum(shortest) / count
    mean = rounds * count / (time.perf_counter() - begin)
    return (
        f"{size:3} at once: {1 / each:7.1f} texts/s, {1_000 * each:7.3f} ms a text, {1_000 * each * size:7.1f} ms a batch; "
        f"mean {mean:7.1f} texts/s, {rounds} rounds"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=pathlib.Path, help="directory of the model")
    parser.add_argument("texts", type=pathlib.Path, nargs="?", default=HERE / "texts.txt", help="texts, one a line")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each figure is measured")
    parser.add_argument("--sorted", action="store_true", help="put texts of about one length together")
    arguments = parser.parse_args()

    tokenizer = tokenizers.Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    entries = json.loads(FIXTURE.read_text())["entries"]
    texts = arguments.texts.read_text().splitlines()[:TEXTS_TIMED]
    if arguments.sorted:
        texts.sort(key=lambda text: sum(tokenizer.encode(text).attention_mask))
    with tempfile.TemporaryDirectory() as directory:
        float32, int8 = pathlib.Path(directory, "float32.onnx"), pathlib.Path(directory, "int8.onnx")
        onnx.save(graph(arguments.model), float32)
        # No shape inference knows the operators of ONNX Runtime, and nothing here is anything but a float.
        onnxruntime.quantization.quantize_dynamic(
            float32,
            int8,
            per_channel=True,
            op_types_to_quantize=["Attention", "MatMul"],
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
        print(f"ONNX Runtime {onnxruntime.__version__}, {len(texts)} texts")
        for path in (float32, int8):
            for threads in arguments.threads:
                begin = time.perf_counter()
                model = Model(path, tokenizer, threads)
                print(f"{path.stem}, {threads} threads, loaded in {1_000 * (time.perf_counter() - begin):.0f} ms")
                print(f"  cosine to PyTorch at least {least_cosine(model, entries):.6f}")
                for size in (1, 8, 32):
                    if size <= len(texts):
                        print("  " + measure(model, texts, size, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
