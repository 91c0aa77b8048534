"""The one model this program knows by its contents: the default."""

from dataclasses import dataclass

from memory_mcp.embedding.manifest import Pooling


@dataclass(frozen=True, slots=True)
class Pins:
    """A published model with a compiled form, pinned to the byte.

    Attributes:
        revision: The commit it is fetched at.
        graph: Path and SHA-256 of the ONNX file in the repository.
        tokenizer: Path and SHA-256 of the tokenizer.
        weights: SHA-256 of model.safetensors at that commit, from which the graph was exported.
    """

    name: str
    repository: str
    revision: str
    graph: tuple[str, str]
    tokenizer: tuple[str, str]
    weights: str
    dimension: int
    max_tokens: int
    pooling: Pooling = "mean"


ALL_MINILM = Pins(
    name="all-MiniLM-L6-v2",
    repository="sentence-transformers/all-MiniLM-L6-v2",
    revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    graph=("onnx/model.onnx", "6fd5d72fe4589f189f8ebc006442dbb529bb7ce38f8082112682524616046452"),
    tokenizer=("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    weights="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    dimension=384,
    max_tokens=256,
)
