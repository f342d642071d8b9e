"""The project is described in setup.cfg; here is what a package index shows of it.

That is the README, of which pictures and links to other files would lead nowhere there.
"""

import re
from pathlib import Path

from setuptools import setup

readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
unpictured = re.sub(r"^!\[.*\]\(.*\)\n\n", "", readme, flags=re.MULTILINE)
unlinked = re.sub(r"\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", unpictured)

setup(long_description=unlinked)
