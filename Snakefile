# unpeopled: curate image datasets without people, pretrain on them, evaluate, and prove what was done.
#
# What comes in:  metadata of photo collections and labelled sets, named in config.yaml
# What goes out:  results/report/index.html, results/shard/, results/pretrain/train/<run>/encoder.safetensors,
#                 results/filter/list_review_pages.html (what people have to look at)
#
# Each chapter is one file in rules/; the commands are in scripts/<stage>/<rule>.py; what the rules ask of the
# configuration is in scripts/plan/.


configfile: f"{workflow.basedir}/config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"


rule all:
    default_target: True
    input:
        "results/report/index.html",
        "results/evaluate/compare_encoders.csv",
        "results/shard/write_metadata/pass_metadata.csv",
        "results/shard/write_card.md",
        PLAN.model_cards,
        PLAN.review_targets,


# Encoders, their cards, curves and figures alone: for images that need no curation (scales/cifar10.yaml).
rule encoders:
    input:
        "results/evaluate/collect_results.csv",
        "results/evaluate/compare_encoders.csv",
        PLAN.model_cards,
        expand("results/report/draw_curves/{run}.svg", run=PLAN.runs),
        expand("results/pretrain/diagnose_run/{run}.json", run=PLAN.runs),


# The pages for reviewers and auditors alone; `all` makes them too.
rule review:
    input:
        PLAN.review_targets,


include: "rules/curate.smk"
include: "rules/filter.smk"
include: "rules/filter_review.smk"
include: "rules/filter_tune.smk"
include: "rules/shard.smk"
include: "rules/pretrain.smk"
include: "rules/evaluate.smk"
include: "rules/evaluate_encoders.smk"
include: "rules/evaluate_frozen.smk"
include: "rules/evaluate_finetuned.smk"
include: "rules/report.smk"
include: "rules/audit.smk"
include: "rules/audit_publish.smk"
