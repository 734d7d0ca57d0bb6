# Daily commands. `just` alone lists them.

_list:
    @just --list

# Everything that CI checks.
test:
    scripts/test

# Format all code.
fmt:
    cargo fmt --all

# All benches, or those whose name holds FILTER.
bench FILTER="":
    cargo bench --workspace -- {{FILTER}}

# Bill five million rows, and have DuckDB add up the same file.
compare *ARGS:
    scripts/bench {{ARGS}}

# Bill a book.
bill BOOK="examples/contact-centre/january.book" *ARGS:
    cargo run --release -- bill {{BOOK}} {{ARGS}}

# Run the golden scenarios.
scenarios *FILES="scenarios":
    cargo run --release -- test {{FILES}}

# Write the answers of today into scenarios; read the diff before it is committed.
update *FILES="scenarios":
    cargo run --release -- test --update {{FILES}}

# Rewrite the pages of docs/ that are generated.
docs:
    FAREBOX_UPDATE=1 cargo test -p farebox --test repository

# Kill a server hundreds of times; `just soak --hours 8` goes on with random histories.
soak *ARGS:
    scripts/soak {{ARGS}}
