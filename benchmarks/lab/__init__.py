"""A lab's history at any size: filled in by COPY, then every request measured against its goal.

``python -m benchmarks.lab fill --runs 10000 --data FOLDER``
``python -m benchmarks.lab measure --data FOLDER``
``python -m benchmarks.lab sizes --data FOLDER``
"""
