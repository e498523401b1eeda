FROM	alpine	AS	tabs
RUN	echo	a
	RUN echo indented
COPY	a	b
