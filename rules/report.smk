# In:  accounts, selection, bytes, detections, metrics, results
# Out: results/report/funnel.json, results/report/draw_*/, results/report/index.html

# What `draw_contact_sheets` shows: kept images, and each reason of the filter. Images that do not decode have no picture.
SHEETS = ["kept", *(str(reason) for reason in FilterReason)]


rule count_funnel:
    input:
        accounts=expand("results/curate/select_candidates/{file}.json", file=PLAN.files),
        candidates=expand("results/curate/select_candidates/{file}.parquet", file=PLAN.files),
        rejected=expand("results/curate/select_candidates/{file}.rejected.parquet", file=PLAN.files),
        selection="results/filter/select.parquet",
    output:
        "results/report/funnel.json",
    log:
        "logs/report/count_funnel.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(30),
    params:
        code=lambda wc: PLAN.code("report.count_funnel", "data"),
    shell:
        "python -m scripts.report.count_funnel --code={params.code:q} --accounts {input.accounts} --candidates {input.candidates}"
        " --rejected {input.rejected} --selection {input.selection} --out {output} > {log} 2>&1"


rule draw_funnel:
    input:
        "results/report/funnel.json",
    output:
        png="results/report/draw_funnel.png",
        svg=shown("results/report/draw_funnel.svg", "Curation", "draw_funnel", shows="funnel"),
    log:
        "logs/report/draw_funnel.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(10),
    params:
        code=lambda wc: PLAN.code("report.draw_funnel", "data"),
    shell:
        "python -m scripts.report.draw_funnel --code={params.code:q} --funnel {input} --png {output.png} --svg {output.svg} > {log} 2>&1"


rule draw_positions:
    input:
        "results/filter/select.parquet",
    output:
        png="results/report/draw_positions.png",
        svg=shown("results/report/draw_positions.svg", "Curation", "draw_positions", shows="where images were taken"),
    log:
        "logs/report/draw_positions.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(10),
    params:
        code=lambda wc: PLAN.code("report.draw_positions", "data"),
    shell:
        "python -m scripts.report.draw_positions --code={params.code:q} --selection {input} --png {output.png} --svg {output.svg} > {log} 2>&1"


rule draw_curves:
    input:
        metrics="results/pretrain/train/{run}/metrics.csv",
        monitor="results/pretrain/train/{run}/monitor.csv",
    output:
        png="results/report/draw_curves/{run}.png",
        svg=shown("results/report/draw_curves/{run}.svg", "Training", "draw_curves", run="{run}", shows="curves"),
    log:
        "logs/report/draw_curves/{run}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(10),
    params:
        recipe=lambda wc: PLAN.train_recipe(wc.run),
        code=lambda wc: PLAN.code("report.draw_curves", "data"),
    shell:
        "python -m scripts.report.draw_curves --code={params.code:q} --recipe {params.recipe:q} --metrics {input.metrics}"
        " --monitor {input.monitor} --png {output.png} --svg {output.svg} > {log} 2>&1"


rule draw_contact_sheets:
    input:
        selection="results/filter/select.parquet",
        tars=expand("results/curate/download/{part}.tar", part=PLAN.parts),
        statuses=expand("results/curate/download/{part}.parquet", part=PLAN.parts),
        faces=expand(
            "results/filter/detect_faces/{detector}/{part}.parquet",
            detector=PLAN.face_detectors,
            part=PLAN.parts,
        ),
    output:
        shown(
            expand("results/report/draw_contact_sheets/{sheet}.png", sheet=SHEETS),
            "Curation",
            "draw_contact_sheets",
            shows="images",
        ),
    log:
        "logs/report/draw_contact_sheets.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.contact_sheets_recipe(),
        code=lambda wc: PLAN.code("report.draw_contact_sheets", "data"),
    shell:
        "python -m scripts.report.draw_contact_sheets --code={params.code:q} --recipe {params.recipe:q} --selection {input.selection}"
        " --tars {input.tars} --statuses {input.statuses} --faces {input.faces} --sheets {output} > {log} 2>&1"


rule draw_duplicates:
    input:
        duplicates="results/curate/deduplicate.parquet",
        selection="results/filter/select.parquet",
        tars=expand("results/curate/download/{part}.tar", part=PLAN.parts),
        statuses=expand("results/curate/download/{part}.parquet", part=PLAN.parts),
        faces=expand(
            "results/filter/detect_faces/{detector}/{part}.parquet",
            detector=PLAN.face_detectors,
            part=PLAN.parts,
        ),
    output:
        sheets=shown(
            expand("results/report/draw_duplicates/{sheet}.png", sheet=["farthest", "by_lot"]),
            "Curation",
            "draw_duplicates",
            shows="duplicates",
        ),
        clusters="results/report/draw_duplicates/clusters.csv",
        figures="results/report/draw_duplicates/figures.json",
    log:
        "logs/report/draw_duplicates.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(8000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.contact_sheets_recipe(),
        code=lambda wc: PLAN.code("report.draw_duplicates", "data"),
    shell:
        "python -m scripts.report.draw_duplicates --code={params.code:q} --recipe {params.recipe:q} --duplicates {input.duplicates}"
        " --selection {input.selection} --tars {input.tars} --statuses {input.statuses} --faces {input.faces}"
        " --sheets {output.sheets} --clusters {output.clusters} --figures {output.figures} > {log} 2>&1"


rule write_report:
    input:
        duplicates="results/report/draw_duplicates/figures.json",
        duplicate_sheets=expand("results/report/draw_duplicates/{sheet}.png", sheet=["farthest", "by_lot"]),
        funnel="results/report/funnel.json",
        funnel_figure="results/report/draw_funnel.svg",
        curves=expand("results/report/draw_curves/{run}.svg", run=PLAN.runs),
        diagnoses=expand("results/pretrain/diagnose_run/{run}.json", run=PLAN.runs),
        views=expand("results/pretrain/train/{run}/views.png", run=PLAN.runs),
        sheets=expand("results/report/draw_contact_sheets/{sheet}.png", sheet=SHEETS),
        results="results/evaluate/collect_results.csv",
        maps=PLAN.embedding_maps,
        selection="results/filter/select.parquet",
        positions="results/report/draw_positions.svg",
        reviews="results/filter/gather_human_verdicts.json",
        leak_rate=PLAN.leak_rate,
        tuning=PLAN.tuned("results/filter/tune_threshold/figures.json"),
        tuning_figure=PLAN.tuned("results/filter/tune_threshold/roc.svg"),
    output:
        shown("results/report/index.html", "The report", "write_report", shows="the page to read"),
    log:
        "logs/report/write_report.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(30),
    params:
        recipe=lambda wc: PLAN.write_report_recipe(),
        code=lambda wc: PLAN.code("report.write_report", "data"),
    shell:
        "python -m scripts.report.write_report --code={params.code:q} --recipe {params.recipe:q} --funnel {input.funnel}"
        " --funnel-figure {input.funnel_figure} --curves {input.curves} --diagnoses {input.diagnoses}"
        " --views {input.views} --sheets {input.sheets}"
        " --duplicates {input.duplicates} --duplicate-sheets {input.duplicate_sheets}"
        " --results {input.results} --maps {input.maps} --selection {input.selection} --positions {input.positions} --reviews {input.reviews}"
        " --leak-rate={input.leak_rate:q} --tuning {input.tuning} --tuning-figure {input.tuning_figure}"
        " --out {output} > {log} 2>&1"
