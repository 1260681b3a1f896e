# In:  metadata of each source; the photos' servers or local stores
# Out: results/curate/select_candidates/{file}.parquet   rows that pass licence and attribution
#      results/curate/download/{part}.tar, .parquet      their bytes, and a status for each candidate
#      results/curate/inspect_images/{part}.parquet      measurements of each image
#      results/curate/deduplicate.parquet                clusters of equal and nearly equal images
#      results/curate/deduplicate/{part}.parquet         those with an image of the part


rule fetch_metadata:
    output:
        "results/curate/fetch_metadata/{file}",
    log:
        "logs/curate/fetch_metadata/{file}.log",
    priority: 10
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(720),
    params:
        url=lambda wc: PLAN.fetched_address(wc.file),
        sha256=lambda wc: PLAN.fetched_sha256(wc.file),
        code=lambda wc: PLAN.code("curate.fetch_metadata", "data"),
    shell:
        "python -m scripts.curate.fetch_metadata --code={params.code:q} --url={params.url:q} --sha256={params.sha256:q} --out {output} > {log} 2>&1"


rule plant_hazards:
    output:
        metadata="results/curate/plant_hazards/metadata.tsv",
        store="results/curate/plant_hazards/store.tar",
        truth="results/curate/plant_hazards/truth.csv",
    log:
        "logs/curate/plant_hazards.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(30),
    params:
        recipe=lambda wc: PLAN.plant_hazards_recipe(),
        code=lambda wc: PLAN.code("curate.plant_hazards", "data"),
    shell:
        "python -m scripts.curate.plant_hazards --code={params.code:q} --recipe {params.recipe:q} --metadata {output.metadata}"
        " --store {output.store} --truth {output.truth} > {log} 2>&1"


rule select_candidates:
    input:
        lambda wc: PLAN.metadata_inputs(wc.file),
    output:
        candidates="results/curate/select_candidates/{file}.parquet",
        rejected="results/curate/select_candidates/{file}.rejected.parquet",
        account="results/curate/select_candidates/{file}.json",
    log:
        "logs/curate/select_candidates/{file}.log",
    priority: 10
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=grow(2000),
        runtime=grow(720),
    params:
        recipe=lambda wc: PLAN.select_candidates_recipe(wc.file),
        metadata=lambda wc: PLAN.metadata(wc.file),
        table=lambda wc: PLAN.folder_table(wc.file),
        data=lambda wc: stamp(PLAN.metadata_inputs(wc.file)),
        code=lambda wc: PLAN.code("curate.select_candidates", "data", "curate.sources", [PLAN.source_kind(wc.file)]),
    shell:
        "python -m scripts.curate.select_candidates --code={params.code:q} --recipe {params.recipe:q} --file {wildcards.file}"
        " --metadata={params.metadata:q} --table={params.table:q} --threads {threads}"
        " --candidates {output.candidates} --rejected {output.rejected} --account {output.account} > {log} 2>&1"


rule download:
    input:
        candidates=expand("results/curate/select_candidates/{file}.parquet", file=PLAN.files),
        stores=PLAN.local_store_inputs(),
    output:
        tar="results/curate/download/{part}.tar",
        status="results/curate/download/{part}.parquet",
    log:
        "logs/curate/download/{part}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(720),
    params:
        recipe=lambda wc: PLAN.download_recipe(),
        stores=lambda wc: PLAN.local_stores(),
        data=lambda wc: stamp(PLAN.local_store_inputs()),
        code=lambda wc: PLAN.code("curate.download", "data", "curate.sources", PLAN.source_kinds()),
    shell:
        "python -m scripts.curate.download --code={params.code:q} --recipe {params.recipe:q} --part {wildcards.part}"
        " --candidates {input.candidates} --local-stores {params.stores:q}"
        " --tar {output.tar} --status {output.status} > {log} 2>&1"


rule inspect_images:
    input:
        tar="results/curate/download/{part}.tar",
        status="results/curate/download/{part}.parquet",
    output:
        "results/curate/inspect_images/{part}.parquet",
    log:
        "logs/curate/inspect_images/{part}.log",
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=grow(3000),
        runtime=grow(240),
    params:
        recipe=lambda wc: PLAN.inspect_images_recipe(),
        code=lambda wc: PLAN.code("curate.inspect_images", "data"),
    shell:
        "python -m scripts.curate.inspect_images --code={params.code:q} --recipe {params.recipe:q} --tar {input.tar} --status {input.status}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule deduplicate:
    input:
        expand("results/curate/inspect_images/{part}.parquet", part=PLAN.parts),
    output:
        table="results/curate/deduplicate.parquet",
        parts=expand("results/curate/deduplicate/{part}.parquet", part=PLAN.parts),
    log:
        "logs/curate/deduplicate.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(16000),
        runtime=grow(240),
    params:
        recipe=lambda wc: PLAN.deduplicate_recipe(),
        code=lambda wc: PLAN.code("curate.deduplicate", "data"),
    shell:
        "python -m scripts.curate.deduplicate --code={params.code:q} --recipe {params.recipe:q} --inspections {input} --out {output.table}"
        " --parts {output.parts} > {log} 2>&1"
