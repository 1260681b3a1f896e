# In:  results/evaluate/embed/{encoder}/{task}.safetensors, for the encoder `<run>-head` results/evaluate/apply_head/
# Out: results/evaluate/{protocol}/{encoder}/{task}.csv      rows of results
#      results/evaluate/{protocol}/{encoder}/{task}.parquet  what was answered for each test image
# Frozen protocols of the chapter `evaluate`: each reads the cached features and nothing else.


rule knn:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        rows="results/evaluate/knn/{encoder}/{task}.csv",
        predictions="results/evaluate/knn/{encoder}/{task}.parquet",
    log:
        "logs/evaluate/knn/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=grow(32000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("knn"),
        code=lambda wc: PLAN.code("evaluate.knn", "torch"),
    shell:
        "python -m scripts.evaluate.knn --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output.rows} --predictions {output.predictions} > {log} 2>&1"


rule linear_probe:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        rows="results/evaluate/linear_probe/{encoder}/{task}.csv",
        predictions="results/evaluate/linear_probe/{encoder}/{task}.parquet",
    log:
        "logs/evaluate/linear_probe/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=grow(64000),
        runtime=grow(720),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("linear_probe"),
        code=lambda wc: PLAN.code("evaluate.linear_probe", "torch"),
    shell:
        "python -m scripts.evaluate.linear_probe --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output.rows} --predictions {output.predictions} > {log} 2>&1"


rule sgd_probe:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        rows="results/evaluate/sgd_probe/{encoder}/{task}.csv",
        predictions="results/evaluate/sgd_probe/{encoder}/{task}.parquet",
    log:
        "logs/evaluate/sgd_probe/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=grow(64000),
        runtime=grow(720),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("sgd_probe"),
        code=lambda wc: PLAN.code("evaluate.sgd_probe", "torch"),
    shell:
        "python -m scripts.evaluate.sgd_probe --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output.rows} --predictions {output.predictions} > {log} 2>&1"


rule low_shot:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        rows="results/evaluate/low_shot/{encoder}/{task}.csv",
        predictions="results/evaluate/low_shot/{encoder}/{task}.parquet",
    log:
        "logs/evaluate/low_shot/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("low_shot"),
        code=lambda wc: PLAN.code("evaluate.low_shot", "torch"),
    shell:
        "python -m scripts.evaluate.low_shot --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output.rows} --predictions {output.predictions} > {log} 2>&1"


rule few_shot:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        "results/evaluate/few_shot/{encoder}/{task}.csv",
    log:
        "logs/evaluate/few_shot/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("few_shot"),
        code=lambda wc: PLAN.code("evaluate.few_shot", "torch"),
    shell:
        "python -m scripts.evaluate.few_shot --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output} > {log} 2>&1"


rule linear_svm:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        rows="results/evaluate/linear_svm/{encoder}/{task}.csv",
        predictions="results/evaluate/linear_svm/{encoder}/{task}.parquet",
    log:
        "logs/evaluate/linear_svm/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(720),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("linear_svm"),
        code=lambda wc: PLAN.code("evaluate.linear_svm", "torch"),
    shell:
        "python -m scripts.evaluate.linear_svm --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output.rows} --predictions {output.predictions} > {log} 2>&1"


rule cluster:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        rows="results/evaluate/cluster/{encoder}/{task}.csv",
        predictions="results/evaluate/cluster/{encoder}/{task}.parquet",
    log:
        "logs/evaluate/cluster/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(240),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("cluster"),
        code=lambda wc: PLAN.code("evaluate.cluster", "torch"),
    shell:
        "python -m scripts.evaluate.cluster --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output.rows} --predictions {output.predictions} > {log} 2>&1"


rule rank_me:
    input:
        lambda wc: PLAN.features_path(wc.encoder, wc.task),
    output:
        "results/evaluate/rank_me/{encoder}/{task}.csv",
    log:
        "logs/evaluate/rank_me/{encoder}/{task}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(32000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.protocol_recipe("rank_me"),
        code=lambda wc: PLAN.code("evaluate.rank_me", "torch"),
    shell:
        "python -m scripts.evaluate.rank_me --code={params.code:q} --recipe {params.recipe:q} --run {wildcards.encoder} --task {wildcards.task}"
        " --features {input} --threads {threads} --out {output} > {log} 2>&1"
