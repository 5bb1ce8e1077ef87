"""Put the top-level folders under one import name: ./pipeline becomes mitds.pipeline."""

from setuptools import find_packages, setup

FOLDERS = ("pipeline", "annotators", "benchmark", "baselines", "manifests")

packages = find_packages("src")
for folder in FOLDERS:
    packages += [f"mitds.{folder}", *(f"mitds.{folder}.{sub}" for sub in find_packages(folder))]

setup(packages=packages, package_dir={"mitds": "src/mitds", **{f"mitds.{f}": f for f in FOLDERS}})
