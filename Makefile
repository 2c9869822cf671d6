# One-line recipes over cargo. One PostgreSQL serves all tests, with a schema for each; it is fetched on first use,
# started by whoever comes first, and gone seconds after the last one, also after Ctrl-C.

# For `time`, which tells how long set-up and tests took together; testkit tells of the set-up alone.
SHELL := /bin/bash

.PHONY: run test test-integration-datastorage test-integration-contextapi test-integration-all bootstrap-dev lint

run: ; cargo run --release -- up --demo

test: ; time cargo test --workspace

test-integration-datastorage: ; time cargo test --package audit-store --package data-storage --test '*'

test-integration-contextapi: ; time cargo test --package context-api --package testkit --test '*'

test-integration-all: ; time cargo test --workspace --test '*'

bootstrap-dev: ; cargo run --release -- bootstrap

lint: ; cargo fmt --all --check && cargo clippy --workspace --all-targets -- --deny warnings
