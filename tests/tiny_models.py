"""Tiny models in the real formats, with weights set by hand: what they say follows from what they hear.

They know two voices, a dark and a bright one (see `voice`). The Whisper model says "low tone" in English
for the dark and "high note" in German for the bright one; the segmentation model gives each a local speaker,
and the embedding is the shape of the spectrum.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

RATE = 16000
Floats = npt.NDArray[np.float64]
Timbre = Literal["dark", "bright"]

_TIMBRES: dict[str, tuple[float, tuple[float, ...]]] = {
    "dark": (110.0, (500.0, 1100.0, 2400.0)),
    "bright": (200.0, (800.0, 2100.0, 3400.0)),
}

_SEEDS = {"dark": 4, "bright": 7}  # found to be taken for speech throughout


def voice(timbre: Timbre, seconds: float, seed: int | None = None) -> Floats:
    """Something that voice detection takes for speech: a glottal buzz through changing vowels."""
    from scipy.signal import lfilter  # type: ignore[import-untyped]  # ships without hints

    pitch, formants = _TIMBRES[timbre]
    rng = np.random.default_rng(_SEEDS[timbre] if seed is None else seed)
    count = round(seconds * RATE)
    at = np.arange(count) / RATE
    melody = pitch * (1 + 0.08 * np.sin(2 * np.pi * 1.3 * at) + 0.05 * np.sin(2 * np.pi * 0.37 * at))
    buzz = np.diff(np.floor(np.cumsum(melody) / RATE), prepend=0.0) + 0.01 * rng.standard_normal(count)
    syllable = round(0.22 * RATE)
    swell = np.sqrt(np.sin(np.pi * (np.arange(syllable) + 0.5) / syllable))
    sound = np.zeros(count)
    memory = [np.zeros(2) for _ in formants]
    for first in range(0, count, syllable):
        piece = buzz[first : first + syllable]
        for index, formant in enumerate(formants):
            centre = formant * (1 + 0.35 * rng.uniform(-1, 1))
            radius = math.exp(-math.pi * (80 + 40 * index) / RATE)
            poles = [1.0, -2 * radius * math.cos(2 * math.pi * centre / RATE), radius**2]
            piece, memory[index] = lfilter([1.0], poles, piece, zi=memory[index])
        sound[first : first + len(piece)] = piece * swell[: len(piece)]
    return sound / max(1e-9, float(np.abs(sound).max())) * 0.5


def silence(seconds: float) -> Floats:
    """Nearly nothing."""
    return np.random.default_rng(0).standard_normal(round(seconds * RATE)) * 1e-4


def write_wav(path: Path, sound: Sequence[Floats]) -> float:
    """Write decoded audio as the pipeline does; return its seconds."""
    samples = np.concatenate(sound)
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return len(samples) / RATE


def build_models(folder: Path) -> None:
    """Write `folder/toy` (Whisper) and `folder/toy-speakers` (segmentation and embedding)."""
    build_whisper(folder / "toy")
    build_speakers(folder / "toy-speakers")


# --- Whisper ---

_WIDTH = 16
_LANGUAGES = ("en", "zh", "de")
_WORDS = ("Ġlow", "Ġtone", "Ġhigh", "Ġnote")


def _vocabulary() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in _LANGUAGES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>"]
    # The empty token is how CTranslate2 tells a multilingual Whisper from an English one.
    return [*letters, *_WORDS, "", *special, *(f"<|{index * 0.02:.2f}|>" for index in range(1501))]


def build_whisper(folder: Path) -> None:
    """A CTranslate2 Whisper of one layer whose decoder is a chain of tokens steered by the sound."""
    import ctranslate2  # type: ignore[import-untyped]  # ships without hints
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = _vocabulary()
    number = {token: index for index, token in enumerate(tokens)}
    spec = ctranslate2.specs.WhisperSpec(1, 1, 1, 1)
    _fill_encoder(spec.encoder)
    _fill_decoder(spec.decoder, number)
    spec.config.lang_ids = [number[f"<|{code}|>"] for code in _LANGUAGES]
    spec.config.alignment_heads = [[0, 0]]
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.register_vocabulary(tokens)
    spec.validate()
    folder.mkdir(parents=True)
    spec.save(str(folder))
    plain = {token: index for token, index in number.items() if not token.startswith("<|")}
    tokenizer = Tokenizer(models.BPE(vocab=plain, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token in tokens if token.startswith("<|")]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    assert all(tokenizer.token_to_id(token) == number[token] for token in special)
    tokenizer.save(str(folder / "tokenizer.json"))


def _zeros(*shape: int) -> npt.NDArray[np.float32]:
    return np.zeros(shape, dtype=np.float32)


def _quantizable(weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """8-bit quantization divides by each row's greatest value: none may be zero throughout."""
    noise = np.random.default_rng(0).standard_normal(weight.shape) * 1e-5
    return (weight + noise).astype(np.float32)


def _norm(layer: Any) -> None:
    layer.gamma = np.ones(_WIDTH, dtype=np.float32)
    layer.beta = _zeros(_WIDTH)


def _linear(layer: Any, weight: npt.NDArray[np.float32]) -> None:
    layer.weight = _quantizable(weight)
    layer.bias = _zeros(len(weight))


def _idle(layer: Any) -> None:
    """Self-attention and feed-forward that add nothing."""
    _norm(layer.self_attention.layer_norm)
    _linear(layer.self_attention.linear[0], _zeros(3 * _WIDTH, _WIDTH))
    _linear(layer.self_attention.linear[1], _zeros(_WIDTH, _WIDTH))
    _norm(layer.ffn.layer_norm)
    _linear(layer.ffn.linear_0, _zeros(_WIDTH, _WIDTH))
    _linear(layer.ffn.linear_1, _zeros(_WIDTH, _WIDTH))


def _fill_encoder(encoder: Any) -> None:
    # Two channels carry the energy below about 1 kHz and around 3 kHz, silence being zero after GELU; a third
    # is constant, so that the layer norm blows nothing up.
    mel = _zeros(_WIDTH, 80, 3)
    mel[0, 0:24, 1] = 4 / 24
    mel[1, 36:62, 1] = 9 / 26
    bias = _zeros(_WIDTH)
    bias[2] = 4
    encoder.conv1.weight, encoder.conv1.bias = mel, bias
    onward = _zeros(_WIDTH, _WIDTH, 3)
    onward[np.arange(_WIDTH), np.arange(_WIDTH), 1] = 1
    encoder.conv2.weight, encoder.conv2.bias = onward, _zeros(_WIDTH)
    angle = np.arange(1500) / 1500 * math.pi
    encoder.position_encodings.encodings = _zeros(1500, _WIDTH)
    encoder.position_encodings.encodings[:, 8] = np.cos(angle)
    encoder.position_encodings.encodings[:, 9] = np.sin(angle)
    _norm(encoder.layer_norm)
    for layer in encoder.layer:
        _idle(layer)


def _fill_decoder(decoder: Any, number: dict[str, int]) -> None:
    # States are what the last token was: 0 task, 1 the first time, 2 a first word, 3 a second word, 4 a later
    # time, 5 the start, 10 no times. 6 and 7 carry how much darker or brighter the sound is.
    state = {"<|transcribe|>": 0, "<|0.00|>": 1, "Ġlow": 2, "Ġhigh": 2, "Ġtone": 3, "Ġnote": 3}
    state |= {"<|startoftranscript|>": 5, "<|notimestamps|>": 10}
    embedding = _zeros(len(number), _WIDTH)
    for token, index in number.items():
        if token in state:
            embedding[index, state[token]] = 10
        elif index > number["<|0.00|>"]:
            embedding[index, 4] = 10
    out = _zeros(len(number), _WIDTH)

    def after(token: str, last: int, *others: int, tone: float = 0.0) -> None:
        for one in (last, *others):
            out[number[token], one] = 4
        out[number[token], 6] = tone
        out[number[token], 7] = -tone

    after("<|0.00|>", 0)
    after("Ġlow", 1, 10, tone=4)
    after("Ġhigh", 1, 10, tone=-4)
    after("Ġtone", 2, tone=4)
    after("Ġnote", 2, tone=-4)
    after("<|1.50|>", 3)
    after("<|endoftext|>", 4)
    after("<|en|>", 5, tone=4)
    after("<|de|>", 5, tone=-4)
    decoder.embeddings.weight = _quantizable(embedding)
    decoder.projection.weight = _quantizable(out)
    decoder.position_encodings.encodings = _zeros(448, _WIDTH)
    _norm(decoder.layer_norm)
    for layer in decoder.layer:
        _idle(layer)
        _norm(layer.attention.layer_norm)
        query = _zeros(_WIDTH, _WIDTH)
        for last, frame in ((10, 15), (1, 15), (2, 45), (3, 75)):
            angle = frame / 1500 * math.pi
            query[8, last], query[9, last] = 0.2 * math.cos(angle), 0.2 * math.sin(angle)
        _linear(layer.attention.linear[0], query)
        keys_values = _zeros(2 * _WIDTH, _WIDTH)
        keys_values[8, 8] = keys_values[9, 9] = 1
        keys_values[_WIDTH + 6, 0], keys_values[_WIDTH + 6, 1] = 1, -1
        _linear(layer.attention.linear[1], keys_values)
        answer = _zeros(_WIDTH, _WIDTH)
        answer[6, 6], answer[7, 6] = 30, -30
        _linear(layer.attention.linear[2], answer)


# --- speakers ---


def build_speakers(folder: Path) -> None:
    """`segmentation.onnx` as pyannote's and `embedding.onnx` as WeSpeaker's, both in a handful of nodes."""
    folder.mkdir(parents=True)
    _save(folder / "segmentation.onnx", *_segmentation())
    _save(folder / "embedding.onnx", *_embedding())


def _save(path: Path, graph: Any, metadata: dict[str, object]) -> None:
    import onnx

    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _segmentation() -> tuple[Any, dict[str, object]]:
    """Log-probabilities of the seven sets of at most two of three speakers, per 17 ms."""
    from onnx import TensorProto, helper, numpy_helper

    # The second difference of a sound is strong in bright voices.
    sharp = np.array([[[1.0, -2.0, 1.0]]], dtype=np.float32)
    # Rows: loudness, sharpness -> classes; class 0 is silence, 1 the dark voice, 2 the bright one.
    mix = np.array([[0, 0], [60, -180], [-20, 140], [0, 0], [0, 0], [0, 0], [0, 0]], dtype=np.float32).T
    offset = np.array([0.1, 0, 0, -99, -99, -99, -99], dtype=np.float32)
    nodes = [
        helper.make_node("Abs", ["x"], ["loud"]),
        helper.make_node("AveragePool", ["loud"], ["loudness"], kernel_shape=[991], strides=[270]),
        helper.make_node("Conv", ["x", "sharp"], ["edges"], kernel_shape=[3], pads=[1, 1]),
        helper.make_node("Abs", ["edges"], ["edge"]),
        helper.make_node("AveragePool", ["edge"], ["sharpness"], kernel_shape=[991], strides=[270]),
        helper.make_node("Concat", ["loudness", "sharpness"], ["both"], axis=1),
        helper.make_node("AveragePool", ["both"], ["smooth"], kernel_shape=[25], strides=[1], pads=[12, 12]),
        helper.make_node("Transpose", ["smooth"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "mix"], ["mixed"]),
        helper.make_node("Add", ["mixed", "offset"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["y"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "segmentation",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, "T"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "frames", 7])],
        [
            numpy_helper.from_array(sharp, "sharp"),
            numpy_helper.from_array(mix, "mix"),
            numpy_helper.from_array(offset, "offset"),
        ],
    )
    return graph, {
        "model_type": "pyannote-segmentation-3.0",
        "sample_rate": RATE,
        "window_size": 10 * RATE,
        "receptive_field_size": 991,
        "receptive_field_shift": 270,
        "num_speakers": 3,
        "powerset_max_classes": 2,
        "num_classes": 7,
    }


def _embedding() -> tuple[Any, dict[str, object]]:
    """How much more energy there is below 1 kHz than around 3 kHz, beside a constant."""
    from onnx import TensorProto, helper, numpy_helper

    contrast = np.zeros((80, 2), dtype=np.float32)
    contrast[0:24, 0], contrast[36:62, 0] = 1 / 24, -1 / 26
    nodes = [
        helper.make_node("ReduceMean", ["feats"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "contrast"], ["tilt"]),
        helper.make_node("Add", ["tilt", "constant"], ["embs"]),
    ]
    graph = helper.make_graph(
        nodes,
        "embedding",
        [helper.make_tensor_value_info("feats", TensorProto.FLOAT, ["B", "T", 80])],
        [helper.make_tensor_value_info("embs", TensorProto.FLOAT, ["B", 2])],
        [
            numpy_helper.from_array(contrast, "contrast"),
            numpy_helper.from_array(np.array([0.0, 1.0], dtype=np.float32), "constant"),
        ],
    )
    return graph, {
        "framework": "wespeaker",
        "language": "English",
        "url": "",
        "comment": "",
        "sample_rate": RATE,
        "output_dim": 2,
        "normalize_samples": 1,
        "feature_normalize_type": "",
    }
