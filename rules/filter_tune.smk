# In:  labelled images (filter.labels), what all detectors measured of them
# Out: results/filter/tune_threshold/: operating points, curves, rules to be copied by hand; nothing reads them but the report


rule tune_threshold:
    input:
        labels=present(PLAN.labels),
        candidates=PLAN.labels_by_path(expand("results/curate/select_candidates/{file}.parquet", file=PLAN.files)),
        inspections=expand("results/curate/inspect_images/{part}.parquet", part=PLAN.parts),
        faces=expand(
            "results/filter/detect_faces/{detector}/{part}.parquet",
            detector=PLAN.face_detectors,
            part=PLAN.parts,
        ),
        people=expand(
            "results/filter/detect_people/{detector}/{part}.parquet",
            detector=PLAN.person_detectors,
            part=PLAN.parts,
        ),
    output:
        figures="results/filter/tune_threshold/figures.json",
        points=shown(
            "results/filter/tune_threshold/operating_points.csv",
            "Curation",
            "tune_threshold",
            shows="operating points",
        ),
        rules="results/filter/tune_threshold/rules.yaml",
        png="results/filter/tune_threshold/roc.png",
        svg=shown("results/filter/tune_threshold/roc.svg", "Curation", "tune_threshold", shows="ROC curves"),
    log:
        "logs/filter/tune_threshold.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.tune_recipe(),
        labels=lambda wc: PLAN.labels,
        data=lambda wc: stamp([PLAN.labels or ""]),
        code=lambda wc: PLAN.code("filter.tune_threshold", "data"),
    shell:
        "python -m scripts.filter.tune_threshold --code={params.code:q} --recipe {params.recipe:q} --labels={params.labels:q}"
        " --candidates {input.candidates} --inspections {input.inspections} --faces {input.faces} --people {input.people}"
        " --figures {output.figures} --points {output.points} --rules {output.rules} --png {output.png} --svg {output.svg}"
        " > {log} 2>&1"
