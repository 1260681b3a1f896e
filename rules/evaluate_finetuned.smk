# In:  encoders, labelled and annotated sets
# Out: results/evaluate/list_annotations/{task}.parquet             pictures and what is marked on them
#      results/evaluate/list_annotations/{task}.csv                 what cannot be used, each with a reason
#      results/evaluate/finetune_*/{encoder}/{recipe}/{task}-{seed}.csv  rows of results
# Protocols of the chapter `evaluate` that train the whole network: each job is one encoder, recipe, set and seed. A
# repeated job goes on from its checkpoint, so its time does not grow.


rule list_annotations:
    input:
        lambda wc: PLAN.annotated_inputs(wc.task),
    output:
        table="results/evaluate/list_annotations/{task}.parquet",
        facts="results/evaluate/list_annotations/{task}.json",
        left_out="results/evaluate/list_annotations/{task}.csv",
    log:
        "logs/evaluate/list_annotations/{task}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(16000),
        runtime=grow(120),
    params:
        recipe=lambda wc: PLAN.list_annotations_recipe(wc.task),
        paths=lambda wc: PLAN.annotated_paths(wc.task),
        data=lambda wc: stamp(PLAN.annotated_inputs(wc.task)),
        code=lambda wc: PLAN.code(
            "evaluate.list_annotations", "data", "evaluate.annotations", [PLAN.annotated_kind(wc.task)]
        ),
    shell:
        "python -m scripts.evaluate.list_annotations --code={params.code:q} --recipe {params.recipe:q} --paths {params.paths:q}"
        " --out {output.table} --facts {output.facts} --left-out {output.left_out} > {log} 2>&1"


rule finetune_classifier:
    input:
        encoder=lambda wc: PLAN.encoder_path(wc.encoder),
        listed="results/evaluate/list_task/{task}.parquet",
    output:
        rows="results/evaluate/finetune_classifier/{encoder}/{recipe}/{task}-{seed}.csv",
        predictions="results/evaluate/finetune_classifier/{encoder}/{recipe}/{task}-{seed}.parquet",
    log:
        "logs/evaluate/finetune_classifier/{encoder}/{recipe}/{task}-{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=grow(32000),
        runtime=1440,
    params:
        recipe=lambda wc: PLAN.finetune_classifier_recipe(wc.recipe, wc.task, wc.seed),
        paths=lambda wc: PLAN.task_paths(wc.task),
        code=lambda wc: PLAN.code(
            "evaluate.finetune_classifier",
            "torch",
            "evaluate.tasks",
            [PLAN.task_kind(wc.task)],
            encoder=PLAN.architecture_of(wc.encoder),
        ),
    shell:
        "python -m scripts.evaluate.finetune_classifier --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder}"
        " --encoder {input.encoder} --items {input.listed} --paths {params.paths:q}"
        " --threads {threads} --out {output.rows} --predictions {output.predictions} > {log} 2>&1"


rule finetune_detector:
    input:
        encoder=lambda wc: PLAN.encoder_path(wc.encoder),
        pictures="results/evaluate/list_annotations/{task}.parquet",
        facts="results/evaluate/list_annotations/{task}.json",
    output:
        rows="results/evaluate/finetune_detector/{encoder}/{recipe}/{task}-{seed}.csv",
        losses="results/evaluate/finetune_detector/{encoder}/{recipe}/{task}-{seed}.losses.csv",
    log:
        "logs/evaluate/finetune_detector/{encoder}/{recipe}/{task}-{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: lambda wc: 2 * PLAN.devices_of(wc.recipe)
    resources:
        gpu=lambda wc: PLAN.devices_of(wc.recipe),
        mem_mb=grow(lambda wc: 32000 * PLAN.devices_of(wc.recipe)),
        runtime=2880,
    params:
        recipe=lambda wc: PLAN.finetune_dense_recipe(wc.recipe, wc.task, wc.seed),
        paths=lambda wc: PLAN.annotated_paths(wc.task),
        code=lambda wc: PLAN.code(
            "evaluate.finetune_detector",
            "torch",
            "evaluate.annotations",
            [PLAN.annotated_kind(wc.task)],
            encoder=PLAN.architecture_of(wc.encoder),
        ),
    shell:
        "python -m scripts.evaluate.finetune_detector --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder}"
        " --encoder {input.encoder} --pictures {input.pictures} --facts {input.facts}"
        " --paths {params.paths:q} --devices {resources.gpu} --threads {threads}"
        " --out {output.rows} --losses {output.losses} > {log} 2>&1"


rule finetune_segmenter:
    input:
        encoder=lambda wc: PLAN.encoder_path(wc.encoder),
        pictures="results/evaluate/list_annotations/{task}.parquet",
        facts="results/evaluate/list_annotations/{task}.json",
    output:
        rows="results/evaluate/finetune_segmenter/{encoder}/{recipe}/{task}-{seed}.csv",
        losses="results/evaluate/finetune_segmenter/{encoder}/{recipe}/{task}-{seed}.losses.csv",
    log:
        "logs/evaluate/finetune_segmenter/{encoder}/{recipe}/{task}-{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: lambda wc: 2 * PLAN.devices_of(wc.recipe)
    resources:
        gpu=lambda wc: PLAN.devices_of(wc.recipe),
        mem_mb=grow(lambda wc: 32000 * PLAN.devices_of(wc.recipe)),
        runtime=2880,
    params:
        recipe=lambda wc: PLAN.finetune_dense_recipe(wc.recipe, wc.task, wc.seed),
        paths=lambda wc: PLAN.annotated_paths(wc.task),
        code=lambda wc: PLAN.code(
            "evaluate.finetune_segmenter",
            "torch",
            "evaluate.annotations",
            [PLAN.annotated_kind(wc.task)],
            encoder=PLAN.architecture_of(wc.encoder),
        ),
    shell:
        "python -m scripts.evaluate.finetune_segmenter --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder}"
        " --encoder {input.encoder} --pictures {input.pictures} --facts {input.facts}"
        " --paths {params.paths:q} --devices {resources.gpu} --threads {threads}"
        " --out {output.rows} --losses {output.losses} > {log} 2>&1"
