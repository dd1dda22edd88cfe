#!/bin/sh
# MWAA runs this on schedulers, workers and the triggerer before Airflow starts. The settings themselves stand in a file beside the
# DAGs, so that changing one needs no update of the environment.
export DOCBATCH_CONFIG=/usr/local/airflow/dags/docbatch.toml
