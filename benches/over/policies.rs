//! Every policy.

/// Runs a block once for each policy, as type `$policy` with name `$name`.
macro_rules! each_policy {
    ($policy:ident, $name:ident => $block:block) => {{
        each_policy!(@one brimful::policy::Duel, "duel", $policy, $name, $block);
        each_policy!(@one brimful::policy::S3Fifo, "s3-fifo", $policy, $name, $block);
        each_policy!(@one brimful::policy::Sieve, "sieve", $policy, $name, $block);
        each_policy!(@one brimful::policy::Lru, "lru", $policy, $name, $block);
        each_policy!(@one brimful::policy::Fifo, "fifo", $policy, $name, $block);
        each_policy!(@one brimful::policy::Lfu, "lfu", $policy, $name, $block);
        each_policy!(@one brimful::policy::Gdsf, "gdsf", $policy, $name, $block);
    }};
    (@one $type:ty, $text:literal, $policy:ident, $name:ident, $block:block) => {{
        type $policy = $type;
        let $name = $text;
        $block
    }};
}
pub(crate) use each_policy;
