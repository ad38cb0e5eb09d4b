# make demo   shows the product at work on real Redis servers on this machine
# make test   installs what it needs (Debian packages, by name) and runs every check

SHELL := /bin/bash
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

# What is released: for what is measured of the program.
RELEASED := $(CURDIR)/target/release/redis-cross-dc-exporter

# How long `make fuzz` runs each target.
FUZZ_SECONDS ?= 60

.PHONY: demo test features release format build lint unit active-active active-active-storms real simulation dashboards docs tools docs-update packaging package-test packages first-run deny fuzz benches bench bench-update bench-history generations crash drill doctor-bench incidents soak stuck lab lab-update wide-cut screenshots clean clusters

demo: ## shows the product at work; on a terminal Enter begins each act, Ctrl-C ends it cleanly
	@.ci/install-tools redis-server=redis-server
	@echo "==> building (minutes the first time; cargo shows how far it is)"
	@$(CARGO) build --locked --profile demo
	@exec target/demo/redis-cross-dc-exporter demo $(DEMO_ARGS)

# `make test` compiles everything once: clippy's compiler lints and also builds what is run.
# `make lint` alone checks without building anything, which is faster while you edit.
test: export RUSTC_WORKSPACE_WRAPPER = $(CURDIR)/.ci/clippy-tests
test: export CLIPPY_ARGS = -D__CLIPPY_HACKERY__warnings
# Where everything is built once and never again, there is nothing to reuse.
ifdef CI
test: export CARGO_INCREMENTAL = 0
endif
test: format ## everything that must pass
	@.ci/together "$(MAKE) --no-print-directory tools" "$(MAKE) --no-print-directory build"
	@$(MAKE) --no-print-directory unit active-active
	@# These tests have to pass on a busy machine, so the rest need not wait for them.
	@.ci/together ".ci/real short shared" "$(MAKE) --no-print-directory benches packaging docs"
	@.ci/real short alone
	@$(MAKE) --no-print-directory dashboards
	@echo "==> all checks passed"

tools:
	@# Those of packaging, too: nothing is installed while tests run.
	@.ci/install-tools redis-server=redis-server python3=python3 promtool=prometheus amtool=prometheus-alertmanager node=nodejs npm=npm curl=curl /usr/sbin/locale-gen=locales buildah=buildah crun=crun systemd-analyze=systemd ps=procps virtualenv=virtualenv
	@.ci/install-browser

format:
	@echo "==> format"
	@$(CARGO) fmt --check

build:
	@echo "==> clippy and build"
	@$(CARGO) test --locked --all-targets --no-run

lint: format ## rustfmt and clippy
	@echo "==> clippy"
	@$(CARGO) clippy --locked --all-targets -- -D warnings

unit: ## unit and property tests, hostile input, the simulator, the architecture
	@echo "==> unit and property tests, simulation, architecture"
	@$(CARGO) test --locked --lib --bins --test simulation --test architecture --test docs --test hostile --test packaging --test rules

active-active: ## the library for two sites: Rust against Lua, storms, the tutorial's holes; AA_PAIRS=100000 AA_RUNS=500 for more
	@echo "==> active-active"
	@$(CARGO) test --locked --test active_active

features: ## that the library for services builds alone, without what the exporter needs; part of release and packages
	@$(CARGO) check --locked --quiet --lib --no-default-features --features active-active

active-active-storms: export AA_PAIRS ?= 100000
active-active-storms: export AA_RUNS ?= 500
active-active-storms: ## a hundred partitions of a minute with 500 kills of the drainer, the tutorial's client as control, figures, Rust against Lua on every generation: hours; AA_STORMS=10 AA_PARTITION_SECONDS=3 AA_KILLS=50 AA_STORM_SEED=7; part of no other target
	@.ci/install-tools redis-server=redis-server python3=python3 /usr/sbin/locale-gen=locales
	@.ci/fetch-generations
	@$(CARGO) test --locked --quiet --test active_active -- simulation
	@for server in redis-server $(CURDIR)/target/generations/*/redis-server; do echo "==> $$server"; \
		REDIS_SERVER=$$server $(CARGO) test --locked --quiet --test active_active -- differential || exit 1; done
	@$(CARGO) build --locked --release
	@TEST_PROGRAM=$(RELEASED) $(CARGO) test --locked --quiet --test real -- active_active::figures --ignored --nocapture --test-threads=1
	@$(CARGO) test --locked --quiet --test real -- active_active::storm --ignored --nocapture --test-threads=1

real: ## tests on real servers, also the long ones that `make test` leaves out (.ci/long-tests), and a search of all their output for secrets
	@.ci/real all

simulation: export SIM_LONG = 1
simulation: ## the simulation with three times as many seeds, and a whole idle day; SIM_RUNS=500 for more, SIM_SEED=7 replays one; part of no other target
	@$(CARGO) test --locked --test simulation

benches: ## a short form of the benches, which shows that they run and measures nothing
	@echo "==> benches, a short form"
	@$(CARGO) test --locked --quiet --bench core --bench fleet --bench offset_history

incidents: ## eight incidents on real servers: all output beside the true course of events; INCIDENTS=1,3 INCIDENT_JOBS=4; part of no other target
	@.ci/install-tools redis-server=redis-server
	@$(CARGO) test --locked --quiet --test real -- incidents::replay --exact --ignored --nocapture

wide-cut: ## how soon half of 4,000 simulated replicas that fail are notified, in one message; needs 8,064 open files in a process; part of no other target
	@$(CARGO) build --locked --release
	@TEST_PROGRAM=$(RELEASED) $(CARGO) test --locked --quiet --test real -- hostile::wide_cut --ignored --nocapture

crash: ## 500 kills at random moments; CRASH_KILLS=500 CRASH_SEED=7 for another number or the same moments; part of no other target
	@.ci/install-tools redis-server=redis-server
	@$(CARGO) test --locked --quiet --test real -- crash::many_kills_lose_nothing_and_leave_nothing_open --exact --ignored --nocapture

soak: ## an hour of cuts, kills, failovers, reloads and receivers that do not answer: memory, tasks and open files stay as they were; SOAK_MINUTES=60 SOAK_SEED=7; part of no other target
	@.ci/install-tools redis-server=redis-server
	@$(CARGO) test --locked --quiet --test real -- soak::churn_leaves_nothing_behind --exact --ignored --nocapture

drill: ## 100 random drills: switch-overs, most of them killed and resumed or rolled back, disasters with capture and return; then every line and many requests cut, two commands at once, pauses beside FAILOVER's, and some under Sentinels; DRILLS=100 DRILL_SEED=7 DRILL_CUTS=100 DRILL_PAIRS=200 DRILL_SWITCH_OVERS=100 PAUSE_ROUNDS=20; part of no other target
	@.ci/install-tools redis-server=redis-server
	@$(CARGO) test --locked --quiet --test real -- operation::drill::many_random_drills_end_consistent --exact --ignored --nocapture
	@$(CARGO) test --locked --quiet --test real -- operation::sentinel operation::practice operation::killed operation::cuts operation::halves operation::planned operation::restarts operation::traffic --ignored --nocapture --test-threads 1
	@$(CARGO) build --locked --release
	@TEST_PROGRAM=$(RELEASED) $(CARGO) test --locked --quiet --test real -- operation::pause --ignored --nocapture --test-threads 1

clusters: ## a Redis Cluster under heavy writes: its lag against the truth over a failover and while slots move, and how fast failovers are followed; part of no other target
	@.ci/install-tools redis-server=redis-server
	@$(CARGO) test --locked --quiet --test real -- lag::cluster cluster::failover::twenty_failovers_are_measured --ignored --nocapture --test-threads=1

lab: ## how close the lag is to the truth, and how good predictions are; LAB_SCENARIOS=cut,stall LAB_PHASES=5 LAB_JOBS=14 LAB_DUMP=folder; part of no other target
	@.ci/install-tools redis-server=redis-server
	@RUST_BACKTRACE=0 $(CARGO) test --locked --quiet --test real -- laboratory::everything --exact --ignored --nocapture
	@RUST_BACKTRACE=0 $(CARGO) test --locked --quiet --test real -- foresight::scores::predictions --exact --ignored --nocapture

lab-update: export LAB_UPDATE = 1
lab-update: lab ## the same, and writes its table into docs/lag.md

screenshots: ## the pictures in docs/images, and in target/browser/gallery every page of 1, 20 and 300 pairs in every look, for you to look at; part of no other target
	@.ci/install-tools redis-server=redis-server prometheus=prometheus
	@.ci/install-browser
	@$(CARGO) test --locked --quiet --test real -- browser::screenshots browser::large::gallery --exact --ignored --test-threads=1

docs:
	@echo "==> documentation"
	@RUSTDOC=.ci/rustdoc RUSTDOCFLAGS="-D warnings --document-private-items --out-dir target/doc" $(CARGO) test --locked --doc --quiet

docs-update: ## rewrites what is generated from the code: docs/metrics.md, tables of docs/configuration.md and docs/doctor.md, a fuzz dictionary, the rules in alerts/
	@UPDATE_DOCS=1 $(CARGO) test --locked --lib -- metrics::documentation doctor::catalogue rules::tests config::tests::documents

doctor-bench: ## how long doctor takes for a hundred pairs (200 servers on this machine); part of no other target
	@.ci/install-tools redis-server=redis-server
	@$(CARGO) test --locked --quiet --test real -- doctor::fleet::a_hundred_pairs --exact --ignored --nocapture

stuck: ## that the liveness probe sees a stuck core, and none where the process was only stopped; part of no other target
	@$(CARGO) test --locked --quiet --test real -- stuck:: --ignored --nocapture

dashboards: ## the dashboards against Grafana's types and its code for frames
	@echo "==> dashboards"
	@.ci/check-dashboards

packaging: ## Dockerfile, image, systemd unit, manifests, Helm chart and docker-compose.yml, with the debug binary
	@$(CARGO) test --locked --no-run --quiet --test packaging
	@.ci/check-packaging target/debug/redis-cross-dc-exporter

package-test: ## the same with the static binary of a release, which is also run in the image; binary and image may have 25 MiB
	@binary=$$(.ci/build-static) && .ci/check-packaging "$$binary" 26214400

release: features ## dist/: static binary, manual, completions and docs in an archive; checksums; bill of materials
	@.ci/release

packages: features ## dist/: all of release, and a .deb, an .rpm, the Helm chart; checks them. SIGNING_KEY=... signs the checksums
	@.ci/install-tools rpm=rpm gpg=gpg gpg-agent=gpg-agent systemd-analyze=systemd python3=python3
	@.ci/packages
	@echo "==> checking what dist/ holds"
	@binary=$$(.ci/build-static) && .ci/check-packages "$$binary"

first-run: ## what a stranger does in a fresh Debian: install the .deb of dist/, init, check, a stall, the message, uninstall; minutes for each
	@.ci/install-tools redis-server=redis-server python3=python3
	@[ -n "$$(ls dist/*.deb 2>/dev/null)" ] || $(MAKE) --no-print-directory packages
	@.ci/debian-root target/packages-root/debian.tar
	@echo "==> a first run"
	@.ci/first-run dist/*.deb target/packages-root/debian.tar

deny: ## licences, duplicates, sources, advisories; builds cargo-deny the first time
	@.ci/deny

fuzz: ## libFuzzer on every target, FUZZ_SECONDS (60) each; part of no other target
	@.ci/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

bench: ## what the exporter costs for fleets of several sizes, beside a client that only reads; BENCH_PAIRS=1,100 BENCH_SECONDS=10; part of no other target
	@$(CARGO) bench --locked --bench core --bench fleet

bench-update: export BENCH_UPDATE = 1
bench-update: bench ## the same, and writes its tables into docs/performance.md

bench-history: ## the cost of the table from offsets to time, compared with a plain ring; memory per master
	@$(CARGO) bench --locked --bench offset_history

generations: ## tests on Redis 6.2, 7.4, 8.2 and Valkey 8.1, 9.1 (x86-64 only)
	@echo "==> server generations"
	@.ci/fetch-generations
	@.ci/test-generations

clean:
	@$(CARGO) clean
