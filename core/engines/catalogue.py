"""The weights that the `local` engine can use, and which of them suits a machine. Pure data and functions.

Every file is pinned: repository revision, exact size and SHA-256. The digests were collected from several
independent public manifests of these repositories which agree with one another (for files in large-file
storage the digest is also the hub's own object id), so nothing is trusted on first use. The one embedding
model whose revision could not be confirmed is addressed on `main` and still pinned by its SHA-256.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

HUB = "https://huggingface.co"
"""Where the weights live; a mirror of it is named by `MODELS_BASE_URL`."""

SPEAKERS = "speakers"
"""Name of the set that diarization needs."""

_GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a model: its `name` in the folder, its `path` below the hub, exact size and digest."""

    name: str
    path: str
    bytes: int
    sha256: str
    licence: str

    def url(self, base: str = HUB) -> str:
        """Where it is fetched from; `base` is the hub or a mirror of it."""
        return f"{base.rstrip('/')}/{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSet:
    """What is fetched together: `name` on the command line, `folder` inside the models folder.

    `memory_bytes` is about what the loaded model occupies with 8-bit weights on a processor and
    `gpu_memory_bytes` with 16-bit weights on a GPU, working space included (orders of magnitude, rounded up).
    """

    name: str
    purpose: Literal["speech", "speakers"]
    folder: str
    description: str
    files: tuple[ModelFile, ...]
    memory_bytes: int
    gpu_memory_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)


def _files(
    repository: str, revision: str, licence: str, files: Mapping[str, tuple[int, str]]
) -> tuple[ModelFile, ...]:
    return tuple(
        ModelFile(
            name=name,
            path=f"{repository}/resolve/{revision}/{name}",
            bytes=size,
            sha256=digest,
            licence=licence,
        )
        for name, (size, digest) in files.items()
    )


_V2_TOKENS = {
    "tokenizer.json": (2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    "vocabulary.txt": (459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
}
_V3_TOKENS = {
    "preprocessor_config.json": (340, "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711"),
    "vocabulary.json": (1_068_114, "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1"),
}

_CATALOGUE = (
    ModelSet(
        name="tiny",
        purpose="speech",
        folder="whisper-tiny",
        description="Whisper tiny: fastest, many mistakes.",
        memory_bytes=_GIB // 2,
        gpu_memory_bytes=_GIB,
        files=_files(
            "Systran/faster-whisper-tiny",
            "d90ca5fe260221311c53c58e660288d3deb8d356",
            "MIT",
            {
                "config.json": (2_249, "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8"),
                "model.bin": (
                    75_538_270,
                    "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1",
                ),
                **_V2_TOKENS,
            },
        ),
    ),
    ModelSet(
        name="base",
        purpose="speech",
        folder="whisper-base",
        description="Whisper base: for small machines.",
        memory_bytes=3 * _GIB // 4,
        gpu_memory_bytes=_GIB,
        files=_files(
            "Systran/faster-whisper-base",
            "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            "MIT",
            {
                "config.json": (2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
                "model.bin": (
                    145_217_532,
                    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                ),
                **_V2_TOKENS,
            },
        ),
    ),
    ModelSet(
        name="small",
        purpose="speech",
        folder="whisper-small",
        description="Whisper small: good on any ordinary computer.",
        memory_bytes=3 * _GIB // 2,
        gpu_memory_bytes=2 * _GIB,
        files=_files(
            "Systran/faster-whisper-small",
            "536b0662742c02347bc0e980a01041f333bce120",
            "MIT",
            {
                "config.json": (2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
                "model.bin": (
                    483_546_902,
                    "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
                ),
                **_V2_TOKENS,
            },
        ),
    ),
    ModelSet(
        name="medium",
        purpose="speech",
        folder="whisper-medium",
        description="Whisper medium: slower than large-v3-turbo; for comparison.",
        memory_bytes=3 * _GIB,
        gpu_memory_bytes=4 * _GIB,
        files=_files(
            "Systran/faster-whisper-medium",
            "08e178d48790749d25932bbc082711ddcfdfbc4f",
            "MIT",
            {
                "config.json": (2_257, "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807"),
                "model.bin": (
                    1_527_906_378,
                    "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae",
                ),
                **_V2_TOKENS,
            },
        ),
    ),
    ModelSet(
        name="large-v3-turbo",
        purpose="speech",
        folder="whisper-large-v3-turbo",
        description="Whisper large-v3-turbo: nearly the best, several times faster than large-v3.",
        memory_bytes=3 * _GIB,
        gpu_memory_bytes=4 * _GIB,
        files=_files(
            "dropbox-dash/faster-whisper-large-v3-turbo",
            "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
            "MIT",
            {
                "config.json": (2_263, "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e"),
                "model.bin": (
                    1_617_884_929,
                    "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
                ),
                "tokenizer.json": (
                    2_710_337,
                    "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd",
                ),
                **_V3_TOKENS,
            },
        ),
    ),
    ModelSet(
        name="large-v3",
        purpose="speech",
        folder="whisper-large-v3",
        description="Whisper large-v3: the best; wants a GPU.",
        memory_bytes=5 * _GIB,
        gpu_memory_bytes=6 * _GIB,
        files=_files(
            "Systran/faster-whisper-large-v3",
            "edaa852ec7e145841d8ffdb056a99866b5f0a478",
            "MIT",
            {
                "config.json": (2_394, "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9"),
                "model.bin": (
                    3_087_284_237,
                    "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1",
                ),
                "tokenizer.json": (
                    2_480_617,
                    "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca",
                ),
                **_V3_TOKENS,
            },
        ),
    ),
    ModelSet(
        name=SPEAKERS,
        purpose="speakers",
        folder="speakers",
        description="Who speaks when: pyannote segmentation 3.0 and NVIDIA TitaNet small.",
        memory_bytes=_GIB // 2,
        files=(
            ModelFile(
                name="segmentation.onnx",
                path="csukuangfj/sherpa-onnx-pyannote-segmentation-3-0/resolve/"
                "9403a6902bb58e3d5ae8c7e77c3422de279db2e0/model.onnx",
                bytes=5_992_913,
                sha256="220ad67ca923bef2fa91f2390c786097bf305bceb5e261d4af67b38e938e1079",
                licence="MIT",
            ),
            ModelFile(
                name="embedding.onnx",
                path="csukuangfj/speaker-embedding-models/resolve/main/nemo_en_titanet_small.onnx",
                bytes=40_257_283,
                sha256="ad4a1802485d8b34c722d2a9d04249662f2ece5d28a7a039063ca22f515a789e",
                licence="CC-BY-4.0",
            ),
        ),
    ),
)

SETS: Mapping[str, ModelSet] = MappingProxyType({item.name: item for item in _CATALOGUE})
"""By name."""

REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "speech": ("config.json", "model.bin", "tokenizer.json"),
        "speakers": ("segmentation.onnx", "embedding.onnx"),
    }
)
"""Files without which a folder is no model, also for a model that an operator brings along."""

_CPU_BEST = ("large-v3-turbo", "small", "base", "tiny")
_GPU_BEST = ("large-v3", "large-v3-turbo", "small", "base", "tiny")
_CPU_CORES: Mapping[str, int] = MappingProxyType({"large-v3-turbo": 4, "small": 2, "base": 1, "tiny": 1})
_RESERVE = _GIB  # for everything else: the decoder, the diarizer, the service, the system


def catalogue() -> Sequence[ModelSet]:
    """Everything that can be fetched, smallest speech model first."""
    return _CATALOGUE


def fits(name: str, memory_bytes: int, gpu_memory_bytes: int | None) -> bool:
    """Whether the machine's memory can hold the speech model `name`."""
    item = SETS[name]
    if gpu_memory_bytes is not None:
        return item.gpu_memory_bytes <= gpu_memory_bytes
    return item.memory_bytes + _RESERVE <= memory_bytes


def ideal_model(memory_bytes: int, cores: int, gpu_memory_bytes: int | None) -> str:
    """The speech model that the machine runs well: fitting its memory and, on a processor, not much slower
    than the recording is long. Never fails: `tiny` runs anywhere.

    Sizes are bytes; `gpu_memory_bytes` is None without a usable GPU.
    """
    if gpu_memory_bytes is not None:
        for name in _GPU_BEST:
            if fits(name, memory_bytes, gpu_memory_bytes):
                return name
    for name in _CPU_BEST:
        if cores >= _CPU_CORES[name] and fits(name, memory_bytes, None):
            return name
    return "tiny"


def choose_model(
    memory_bytes: int, cores: int, gpu_memory_bytes: int | None, installed: Collection[str]
) -> str:
    """The speech model to use: the ideal one if its weights are there or none are, else the next best there
    is: the most accurate smaller one, then the smallest larger one that still fits the memory.
    """
    ideal = ideal_model(memory_bytes, cores, gpu_memory_bytes)
    order = [item.name for item in _CATALOGUE if item.purpose == "speech"]
    at = order.index(ideal)
    smaller = [name for name in reversed(order[:at]) if name in installed]
    larger = [
        name for name in order[at + 1 :] if name in installed and fits(name, memory_bytes, gpu_memory_bytes)
    ]
    if ideal in installed or not (smaller or larger):
        return ideal
    return (smaller + larger)[0]
