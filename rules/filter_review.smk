# In:  what reviewers and auditors handed in; verdicts, selection and bytes of each part
# Out: results/filter/gather_human_verdicts.{csv,json}       what all reviewers say, and how far they agree
#      results/filter/gather_human_verdicts/{part}.csv       what they say of the images of a part
#      results/filter/write_review_page/{part}-{page}.html   images that wait for a reviewer
#      results/filter/draw_audit_sample.parquet              kept images drawn by lot
#      results/filter/write_audit_page/{page}.html           for auditors to look at
#      results/filter/measure_leak_rate.json                 how many of the kept images show a person
#      results/filter/list_review_pages.html                 links to all pages


rule gather_human_verdicts:
    input:
        human=present_csvs(PLAN.human_verdicts),
        audit=present_csvs(PLAN.audit_verdicts),
        candidates=expand("results/curate/select_candidates/{file}.parquet", file=PLAN.files),
    output:
        table="results/filter/gather_human_verdicts.csv",
        figures="results/filter/gather_human_verdicts.json",
        parts=expand("results/filter/gather_human_verdicts/{part}.csv", part=PLAN.parts),
    log:
        "logs/filter/gather_human_verdicts.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        human=lambda wc: PLAN.human_verdicts,
        audit=lambda wc: PLAN.audit_verdicts,
        data=lambda wc: stamp(present_csvs(PLAN.human_verdicts) + present_csvs(PLAN.audit_verdicts)),
        code=lambda wc: PLAN.code("filter.gather_human_verdicts", "data"),
    shell:
        "python -m scripts.filter.gather_human_verdicts --code={params.code:q} --human-verdicts={params.human:q}"
        " --audit-verdicts={params.audit:q} --candidates {input.candidates} --out {output.table}"
        " --figures {output.figures} --parts {output.parts} > {log} 2>&1"


rule write_review_page:
    input:
        candidates=expand("results/curate/select_candidates/{file}.parquet", file=PLAN.files),
        verdicts="results/filter/judge/{part}.parquet",
        selection=lambda wc: PLAN.reviewed_selection(wc.part),
        human="results/filter/gather_human_verdicts/{part}.csv",
        tar="results/curate/download/{part}.tar",
        status="results/curate/download/{part}.parquet",
        faces=expand(
            "results/filter/detect_faces/{detector}/{{part}}.parquet",
            detector=PLAN.asked(PLAN.face_detectors),
        ),
        people=expand(
            "results/filter/detect_people/{detector}/{{part}}.parquet",
            detector=PLAN.asked(PLAN.person_detectors),
        ),
    output:
        pages=expand(
            "results/filter/write_review_page/{{part}}-{page}.html",
            page=PLAN.page_numbers,
        ),
        account="results/filter/write_review_page/{part}.json",
    log:
        "logs/filter/write_review_page/{part}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.write_review_page_recipe(),
        code=lambda wc: PLAN.code("filter.write_review_page", "data"),
    shell:
        "python -m scripts.filter.write_review_page --code={params.code:q} --recipe {params.recipe:q} --part {wildcards.part}"
        " --candidates {input.candidates} --verdicts {input.verdicts} --selection={input.selection:q}"
        " --human {input.human} --tar {input.tar} --status {input.status} --faces {input.faces} --people {input.people}"
        " --pages {output.pages} --account {output.account} > {log} 2>&1"


rule draw_audit_sample:
    input:
        selection="results/filter/select.parquet",
        audit=present_csvs(PLAN.audit_verdicts),
    output:
        sample="results/filter/draw_audit_sample.parquet",
        account="results/filter/draw_audit_sample.json",
    log:
        "logs/filter/draw_audit_sample.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(30),
    params:
        recipe=lambda wc: PLAN.audit_recipe(),
        audit=lambda wc: PLAN.audit_verdicts,
        data=lambda wc: stamp(present_csvs(PLAN.audit_verdicts)),
        code=lambda wc: PLAN.code("filter.draw_audit_sample", "data"),
    shell:
        "python -m scripts.filter.draw_audit_sample --code={params.code:q} --recipe {params.recipe:q} --selection {input.selection}"
        " --audit-verdicts={params.audit:q} --out {output.sample} --account {output.account} > {log} 2>&1"


rule write_audit_page:
    input:
        sample="results/filter/draw_audit_sample.parquet",
        tars=expand("results/curate/download/{part}.tar", part=PLAN.parts),
        statuses=expand("results/curate/download/{part}.parquet", part=PLAN.parts),
    output:
        pages=expand("results/filter/write_audit_page/{page}.html", page=PLAN.audit_pages),
        account="results/filter/write_audit_page/account.json",
    log:
        "logs/filter/write_audit_page.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(4000),
        runtime=grow(60),
    params:
        recipe=lambda wc: PLAN.write_audit_page_recipe(),
        code=lambda wc: PLAN.code("filter.write_audit_page", "data"),
    shell:
        "python -m scripts.filter.write_audit_page --code={params.code:q} --recipe {params.recipe:q} --sample {input.sample}"
        " --tars {input.tars} --statuses {input.statuses} --pages {output.pages} --account {output.account}"
        " > {log} 2>&1"


rule measure_leak_rate:
    input:
        sample="results/filter/draw_audit_sample.parquet",
        account="results/filter/draw_audit_sample.json",
        audit=present_csvs(PLAN.audit_verdicts),
    output:
        shown("results/filter/measure_leak_rate.json", "Curation", "measure_leak_rate", shows="people left, as audited"),
    log:
        "logs/filter/measure_leak_rate.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(10),
    params:
        recipe=lambda wc: PLAN.audit_recipe(),
        audit=lambda wc: PLAN.audit_verdicts,
        data=lambda wc: stamp(present_csvs(PLAN.audit_verdicts)),
        code=lambda wc: PLAN.code("filter.measure_leak_rate", "data"),
    shell:
        "python -m scripts.filter.measure_leak_rate --code={params.code:q} --recipe {params.recipe:q} --sample {input.sample}"
        " --account {input.account} --audit-verdicts={params.audit:q} --out {output} > {log} 2>&1"


rule list_review_pages:
    input:
        reviews=PLAN.page_accounts[0],
        audits=PLAN.page_accounts[1],
    output:
        "results/filter/list_review_pages.html",
    log:
        "logs/filter/list_review_pages.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=grow(2000),
        runtime=grow(10),
    params:
        title=lambda wc: PLAN.config.report.title,
        code=lambda wc: PLAN.code("filter.list_review_pages", "data"),
    shell:
        "python -m scripts.filter.list_review_pages --code={params.code:q} --title={params.title:q} --reviews {input.reviews}"
        " --audits {input.audits} --out {output} > {log} 2>&1"
