# escape=`
FROM mcr.microsoft.com/windows/nanoserver:ltsc2022
SHELL ["cmd", "/S", "/C"]
WORKDIR C:\app\
COPY a.txt C:\app\
RUN echo one `
  && echo two
RUN dir C:\
