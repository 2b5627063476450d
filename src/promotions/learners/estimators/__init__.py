"""Estimators with scikit-learn's signatures. Importing scikit-learn takes seconds: only who fits one of them does."""
