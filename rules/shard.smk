# In:  the selection, the bytes of each partition
# Out: results/shard/write_shards/{shard}.tar, .parquet (index for random access)
#      results/shard/write_metadata/{pass_metadata.csv,metadata.parquet}, results/shard/write_card.md


rule write_shards:
    input:
        selections=lambda wc: expand("results/filter/select/{part}.parquet", part=PLAN.shard_parts(wc.shard)),
        tars=lambda wc: expand("results/curate/download/{part}.tar", part=PLAN.shard_parts(wc.shard)),
        statuses=lambda wc: expand("results/curate/download/{part}.parquet", part=PLAN.shard_parts(wc.shard)),
    output:
        tar="results/shard/write_shards/{shard}.tar",
        index="results/shard/write_shards/{shard}.parquet",
    log:
        "logs/shard/write_shards/{shard}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(120),
    params:
        recipe=lambda wc: PLAN.write_shards_recipe(),
        code=lambda wc: PLAN.code("shard.write_shards", "data"),
    shell:
        "python -m scripts.shard.write_shards --code={params.code:q} --recipe {params.recipe:q} --shard {wildcards.shard}"
        " --selections {input.selections} --tars {input.tars} --statuses {input.statuses}"
        " --tar {output.tar} --index {output.index} > {log} 2>&1"


rule write_metadata:
    input:
        selection="results/filter/select.parquet",
        indexes=expand("results/shard/write_shards/{shard}.parquet", shard=PLAN.shards),
    output:
        pass_metadata="results/shard/write_metadata/pass_metadata.csv",
        metadata="results/shard/write_metadata/metadata.parquet",
    log:
        "logs/shard/write_metadata.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.write_shards_recipe(),
        code=lambda wc: PLAN.code("shard.write_metadata", "data"),
    shell:
        "python -m scripts.shard.write_metadata --code={params.code:q} --recipe {params.recipe:q} --selection {input.selection}"
        " --indexes {input.indexes} --pass-metadata {output.pass_metadata} --metadata {output.metadata} > {log} 2>&1"


rule write_card:
    input:
        selection="results/filter/select.parquet",
        metadata="results/shard/write_metadata/metadata.parquet",
        indexes=expand("results/shard/write_shards/{shard}.parquet", shard=PLAN.shards),
        leak_rate=PLAN.leak_rate,
    output:
        shown("results/shard/write_card.md", "Cards", "write_card", shows="dataset card", run=""),
    log:
        "logs/shard/write_card.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(30),
    params:
        recipe=lambda wc: PLAN.write_card_recipe(),
        code=lambda wc: PLAN.code("shard.write_card", "data"),
    shell:
        "python -m scripts.shard.write_card --code={params.code:q} --recipe {params.recipe:q} --selection {input.selection} --metadata {input.metadata}"
        " --indexes {input.indexes} --leak-rate={input.leak_rate:q} --out {output} > {log} 2>&1"
