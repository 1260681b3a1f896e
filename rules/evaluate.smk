# In:  encoders, labelled sets
# Out: results/evaluate/sample_task/{task}.safetensors       train images that pretraining watches itself on
#      results/evaluate/embed/{encoder}/{task}.safetensors   features of both splits, made once
#      results/evaluate/apply_head/{run}/{task}.safetensors   the same after the projection head
#      results/evaluate/draw_embedding/{encoder}/{task}.png   test images where their features put them
#      results/evaluate/collect_results.csv                  one row for each result (docs/tables.md)
#      results/evaluate/compare_encoders.csv                 pairs of encoders, with intervals


rule list_task:
    input:
        lambda wc: PLAN.task_inputs(wc.task),
    output:
        table="results/evaluate/list_task/{task}.parquet",
        left_out="results/evaluate/list_task/{task}.csv",
    log:
        "logs/evaluate/list_task/{task}.log",
    priority: 10
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.list_task_recipe(wc.task),
        paths=lambda wc: PLAN.task_paths(wc.task),
        data=lambda wc: stamp(PLAN.task_inputs(wc.task)),
        code=lambda wc: PLAN.code("evaluate.list_task", "data", "evaluate.tasks", [PLAN.task_kind(wc.task)]),
    shell:
        "python -m scripts.evaluate.list_task --code={params.code:q} --recipe {params.recipe:q} --paths {params.paths:q} --out {output.table}"
        " --left-out {output.left_out} > {log} 2>&1"


rule sample_task:
    input:
        "results/evaluate/list_task/{task}.parquet",
    output:
        "results/evaluate/sample_task/{task}.safetensors",
    log:
        "logs/evaluate/sample_task/{task}.log",
    priority: 10
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=grow(8000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.sample_task_recipe(wc.task),
        paths=lambda wc: PLAN.task_paths(wc.task),
        code=lambda wc: PLAN.code("evaluate.sample_task", "torch", "evaluate.tasks", [PLAN.task_kind(wc.task)]),
    shell:
        "python -m scripts.evaluate.sample_task --code={params.code:q} --recipe {params.recipe:q} --items {input} --paths {params.paths:q}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule embed:
    input:
        encoder=lambda wc: PLAN.encoder_path(wc.encoder),
        listed="results/evaluate/list_task/{task}.parquet",
    output:
        "results/evaluate/embed/{encoder}/{task}.safetensors",
    log:
        "logs/evaluate/embed/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=grow(32000),
        runtime=grow(240),
    params:
        recipe=lambda wc: PLAN.embed_recipe(wc.task),
        paths=lambda wc: PLAN.task_paths(wc.task),
        code=lambda wc: PLAN.code(
            "evaluate.embed",
            "torch",
            "evaluate.tasks",
            [PLAN.task_kind(wc.task)],
            encoder=PLAN.architecture_of(wc.encoder),
        ),
    shell:
        "python -m scripts.evaluate.embed --code={params.code:q} --recipe {params.recipe:q} --encoder {input.encoder} --items {input.listed}"
        " --paths {params.paths:q} --threads {threads} --out {output} > {log} 2>&1"


rule apply_head:
    input:
        features="results/evaluate/embed/{run}/{task}.safetensors",
        head="results/pretrain/train/{run}/head.safetensors",
    output:
        "results/evaluate/apply_head/{run}/{task}.safetensors",
    log:
        "logs/evaluate/apply_head/{run}/{task}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(60),
    params:
        code=lambda wc: PLAN.code("evaluate.apply_head", "torch"),
    shell:
        "python -m scripts.evaluate.apply_head --code={params.code:q} --features {input.features} --head {input.head} --out {output} > {log} 2>&1"


rule draw_embedding:
    input:
        features="results/evaluate/embed/{encoder}/{task}.safetensors",
        listed="results/evaluate/list_task/{task}.parquet",
    output:
        shown(
            "results/evaluate/draw_embedding/{encoder}/{task}.png",
            "Evaluation",
            "draw_embedding",
            shows="map of test images",
            encoder="{encoder}",
            task="{task}",
        ),
    log:
        "logs/evaluate/draw_embedding/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(30),
    params:
        recipe=lambda wc: PLAN.draw_embedding_recipe(wc.task),
        paths=lambda wc: PLAN.task_paths(wc.task),
        code=lambda wc: PLAN.code("evaluate.draw_embedding", "torch", "evaluate.tasks", [PLAN.task_kind(wc.task)]),
    shell:
        "python -m scripts.evaluate.draw_embedding --code={params.code:q} --recipe {params.recipe:q} --encoder {wildcards.encoder}"
        " --features {input.features} --items {input.listed} --paths {params.paths:q} --out {output} > {log} 2>&1"


rule collect_results:
    input:
        PLAN.protocol_tables,
    output:
        shown(
            "results/evaluate/collect_results.csv",
            "Evaluation",
            "collect_results",
            shows="all results",
            encoder="",
            task="",
        ),
    log:
        "logs/evaluate/collect_results.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(10),
    params:
        code=lambda wc: PLAN.code("evaluate.collect_results", "data"),
    shell:
        "python -m scripts.evaluate.collect_results --code={params.code:q} --tables {input} --out {output} > {log} 2>&1"


rule compare_encoders:
    input:
        PLAN.protocol_predictions,
    output:
        shown(
            "results/evaluate/compare_encoders.csv",
            "Evaluation",
            "compare_encoders",
            shows="pairs",
            encoder="",
            task="",
        ),
    log:
        "logs/evaluate/compare_encoders.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(60),
    params:
        recipe=PLAN.compare_encoders_recipe(),
        code=lambda wc: PLAN.code("evaluate.compare_encoders", "data"),
    shell:
        "python -m scripts.evaluate.compare_encoders --code={params.code:q} --recipe {params.recipe:q} --predictions {input} --out {output} > {log} 2>&1"
