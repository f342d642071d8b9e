"""The engines: their packages, pinned, and the script that trains each one's cases."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Engine:
    """A library to train by.

    Attributes:
        name: The name of its rows.
        script: A file beside this one.
        requirements: Packages that pip installs without their dependencies, pinned. The
            running Python has the others.
        package: The package whose version is in the table; the name if empty.
        arguments: Arguments of the script.
        variables: Environment variables of the script.
        own_torch: Whether pip installs the dependencies too, torch included, and nothing
            of the running Python is in sight.
    """

    name: str
    script: str
    requirements: tuple[str, ...] = ()
    package_name: str = ""
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    own_torch: bool = False

    @property
    def package(self) -> str:
        """The package whose version is in the table."""
        return self.package_name or self.name


_TORCHVISION = "torchvision==0.28.0"
_SKLEARN = (
    *("scikit-learn==1.9.1", "joblib==1.6.0", "threadpoolctl==3.8.0", "narwhals==2.29.0"),
    "cloudpickle==3.1.3",
)

ENGINES = (
    Engine("torch", "torch_optimizers.py"),
    Engine("schedulefree", "schedulefree_engine.py", requirements=("schedulefree==1.4.1",)),
    Engine(
        "pytorch_optimizer",
        "pytorch_optimizer_engine.py",
        requirements=("pytorch_optimizer==4.1.0",),
    ),
    Engine(
        "heavyball",
        "heavyball_engine.py",
        requirements=("heavyball==3.2.1", "opt_einsum==3.4.0"),
    ),
    Engine("torchao", "torchao_engine.py", requirements=("torchao==0.18.0",)),
    Engine(
        "bitsandbytes", "bitsandbytes_engine.py", requirements=("bitsandbytes==0.50.2",)
    ),
    Engine(
        "opacus",
        "opacus_engine.py",
        requirements=("opacus==1.6.0", "opt_einsum==3.4.0"),
    ),
    Engine(
        "peft",
        "peft_engine.py",
        requirements=("peft==0.21.2", "accelerate==1.15.0", "transformers==5.24.0"),
    ),
    Engine("accelerate", "accelerate_engine.py", requirements=("accelerate==1.15.0",)),
    Engine(
        "transformers",
        "transformers_engine.py",
        requirements=("transformers==5.24.0", "accelerate==1.15.0"),
    ),
    Engine(
        "trl",
        "transformers_engine.py",
        arguments=("trl",),
        requirements=(
            *("trl==1.16.0", "transformers==5.24.0", "accelerate==1.15.0"),
            *(
                "datasets==5.2.0",
                "pyarrow==26.0.1",
                "pandas==3.1.1",
                "dill==0.4.1",
                "multiprocess==0.70.19",
            ),
        ),
    ),
    Engine("lightning", "lightning_engine.py", requirements=("lightning==2.6.6",)),
    Engine("pytorch-ignite", "ignite_engine.py", requirements=("pytorch-ignite==0.5.5",)),
    Engine(
        "skorch",
        "skorch_engine.py",
        requirements=("skorch==1.4.0", "tabulate==0.10.0", *_SKLEARN),
    ),
    Engine(
        "fastai",
        "fastai_engine.py",
        requirements=(
            *("fastai==2.8.12", "fastcore==2.2.41", "fastdownload==0.0.8"),
            *("fastprogress==1.1.6", "fasttransform==0.0.5", "plum-dispatch==2.9.0"),
            *("beartype==0.23.1", "pandas==3.1.1", "python-fasthtml==0.14.14"),
            *("starlette==1.10.0", "uvicorn==0.54.0", "itsdangerous==2.2.0"),
            *("oauthlib==4.0.1", "python-multipart==0.0.34", _TORCHVISION, *_SKLEARN),
        ),
    ),
    Engine(
        "keras",
        "keras_engine.py",
        requirements=(
            *("keras==3.15.1", "h5py==3.16.0", "ml_dtypes==0.6.0", "namex==0.1.0"),
            "optree==0.20.0",
        ),
        variables={"KERAS_BACKEND": "torch", "KERAS_HOME": "."},
    ),
    Engine(
        "composer",
        "composer_engine.py",
        package_name="mosaicml",
        # It asks for torch below 2.7.1, and works with later ones.
        requirements=(
            *("mosaicml==0.32.1", "mosaicml-cli==0.7.5", "coolname==5.0.0"),
            *("importlib-metadata==8.9.0", "py-cpuinfo==9.0.0", "tabulate==0.10.0"),
            *("torch_optimizer==0.3.0", "pytorch_ranger==0.1.1", "torchmetrics==1.7.4"),
            *("argcomplete==3.7.2", "arrow==1.4.0", "backoff==2.2.1", "gql==3.5.3"),
            *("graphql-core==3.2.6", "prompt-toolkit==3.0.36", "questionary==2.0.1"),
            *("ruamel.yaml==0.19.1", "termcolor==3.3.0", "validators==0.36.0"),
            *("websockets==11.0.3", _TORCHVISION),
        ),
    ),
    Engine(
        "deepspeed",
        "deepspeed_engine.py",
        requirements=(
            *("deepspeed==0.19.8", "hjson==3.1.0", "ninja==1.13.2", "py-cpuinfo==9.0.0"),
            *("einops==0.8.2", "msgpack==1.2.4"),
        ),
        variables={"DS_ACCELERATOR": "cpu"},
    ),
    Engine(
        "deepspeed-frameworks",
        "deepspeed_frameworks.py",
        package_name="deepspeed",
        requirements=(
            *("deepspeed==0.19.8", "hjson==3.1.0", "ninja==1.13.2", "py-cpuinfo==9.0.0"),
            *("einops==0.8.2", "msgpack==1.2.4", "accelerate==1.15.0"),
            *("transformers==5.24.0", "lightning==2.6.6"),
        ),
        variables={"DS_ACCELERATOR": "cpu"},
    ),
    Engine(
        "torch_xla",
        "xla.py",
        requirements=(
            *("torch_xla==2.9.0", "torch==2.9.0", "numpy==2.4.6", "soundfile==0.14.0"),
        ),
        variables={"PJRT_DEVICE": "CPU"},
        own_torch=True,
    ),
)
