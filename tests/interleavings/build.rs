//! Builds the crate's sources for the model checker: see `src/sync.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The features of the crate are none of this package.
    println!("cargo::rustc-check-cfg=cfg(feature, values(any()))");
    println!("cargo::rustc-cfg=brimful_loom");
    if std::env::var_os("CARGO_FEATURE_LANES").is_some() {
        println!("cargo::rustc-cfg=brimful_lanes");
    }
}
