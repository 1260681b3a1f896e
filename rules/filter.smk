# In:  bytes and measurements of each image, detector weights, human verdicts (filter_review.smk)
# Out: results/filter/detect_faces/{detector}/{part}.parquet, detect_people/...   boxes and scores, no decision
#      results/filter/judge/{part}.parquet                                       the first reason against each candidate
#      results/filter/select.parquet, select/{part}.parquet                      one row for each candidate


rule fetch_weights:
    input:
        lambda wc: present(PLAN.weights(wc.detector).path),
    output:
        "results/filter/fetch_weights/{detector}.weights",
    log:
        "logs/filter/fetch_weights/{detector}.log",
    priority: 10
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(60),
    params:
        path=lambda wc: PLAN.weights(wc.detector).path or "",
        url=lambda wc: PLAN.weights(wc.detector).url or "",
        sha256=lambda wc: PLAN.weights(wc.detector).sha256,
        data=lambda wc: stamp([PLAN.weights(wc.detector).path or ""]),
        code=lambda wc: PLAN.code("filter.fetch_weights", "data"),
    shell:
        "python -m scripts.filter.fetch_weights --code={params.code:q} --detector {wildcards.detector} --path={params.path:q} --url={params.url:q}"
        " --sha256 {params.sha256} --out {output} > {log} 2>&1"


rule convert_weights:
    input:
        "results/filter/fetch_weights/{detector}.weights",
    output:
        "results/filter/convert_weights/{detector}.onnx",
    log:
        "logs/filter/convert_weights/{detector}.log",
    priority: 10
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.convert_weights_recipe(wc.detector),
        code=lambda wc: PLAN.code("filter.convert_weights", "torch"),
    shell:
        "python -m scripts.filter.convert_weights --code={params.code:q} --recipe {params.recipe:q} --weights {input} --out {output} > {log} 2>&1"


rule detect_faces:
    input:
        tar="results/curate/download/{part}.tar",
        status="results/curate/download/{part}.parquet",
        inspection="results/curate/inspect_images/{part}.parquet",
        weights=lambda wc: PLAN.weights_inputs(wc.detector),
    output:
        "results/filter/detect_faces/{detector}/{part}.parquet",
    log:
        "logs/filter/detect_faces/{detector}/{part}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=lambda wc: PLAN.detector_gpus(wc.detector),
        mem_mb=grow(6000),
        runtime=grow(720),
    params:
        recipe=lambda wc: PLAN.detect_recipe(wc.detector),
        code=lambda wc: PLAN.code(
            "filter.detect_faces",
            "torch",
            "filter.detectors",
            [PLAN.detector_kind(wc.detector)],
        ),
    shell:
        "python -m scripts.filter.detect_faces --code={params.code:q} --recipe {params.recipe:q} --tar {input.tar} --status {input.status}"
        " --inspection {input.inspection} --weights {input.weights:q} --threads {threads} --out {output} > {log} 2>&1"


rule detect_people:
    input:
        tar="results/curate/download/{part}.tar",
        status="results/curate/download/{part}.parquet",
        inspection="results/curate/inspect_images/{part}.parquet",
        weights=lambda wc: PLAN.weights_inputs(wc.detector),
    output:
        "results/filter/detect_people/{detector}/{part}.parquet",
    log:
        "logs/filter/detect_people/{detector}/{part}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=lambda wc: PLAN.detector_gpus(wc.detector),
        mem_mb=grow(6000),
        runtime=grow(720),
    params:
        recipe=lambda wc: PLAN.detect_recipe(wc.detector),
        code=lambda wc: PLAN.code(
            "filter.detect_people",
            "torch",
            "filter.detectors",
            [PLAN.detector_kind(wc.detector)],
        ),
    shell:
        "python -m scripts.filter.detect_people --code={params.code:q} --recipe {params.recipe:q} --tar {input.tar} --status {input.status}"
        " --inspection {input.inspection} --weights {input.weights:q} --threads {threads} --out {output} > {log} 2>&1"


rule judge:
    input:
        candidates=expand("results/curate/select_candidates/{file}.parquet", file=PLAN.files),
        status="results/curate/download/{part}.parquet",
        inspection="results/curate/inspect_images/{part}.parquet",
        duplicates="results/curate/deduplicate/{part}.parquet",
        faces=expand(
            "results/filter/detect_faces/{detector}/{{part}}.parquet",
            detector=PLAN.asked(PLAN.face_detectors),
        ),
        people=expand(
            "results/filter/detect_people/{detector}/{{part}}.parquet",
            detector=PLAN.asked(PLAN.person_detectors),
        ),
        human="results/filter/gather_human_verdicts/{part}.csv",
    output:
        "results/filter/judge/{part}.parquet",
    log:
        "logs/filter/judge/{part}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.judge_recipe(),
        code=lambda wc: PLAN.code("filter.judge", "data"),
    shell:
        "python -m scripts.filter.judge --code={params.code:q} --recipe {params.recipe:q} --part {wildcards.part} --candidates {input.candidates}"
        " --status {input.status} --inspection {input.inspection} --duplicates {input.duplicates} --faces {input.faces}"
        " --people {input.people} --human-verdicts={input.human} --out {output} > {log} 2>&1"


rule select:
    input:
        candidates=expand("results/curate/select_candidates/{file}.parquet", file=PLAN.files),
        inspections=expand("results/curate/inspect_images/{part}.parquet", part=PLAN.parts),
        verdicts=expand("results/filter/judge/{part}.parquet", part=PLAN.parts),
    output:
        table="results/filter/select.parquet",
        parts=expand("results/filter/select/{part}.parquet", part=PLAN.parts),
    log:
        "logs/filter/select.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(120),
    params:
        recipe=lambda wc: PLAN.select_recipe(),
        code=lambda wc: PLAN.code("filter.select", "data"),
    shell:
        "python -m scripts.filter.select --code={params.code:q} --recipe {params.recipe:q} --candidates {input.candidates}"
        " --inspections {input.inspections} --verdicts {input.verdicts} --out {output.table}"
        " --parts {output.parts} > {log} 2>&1"
